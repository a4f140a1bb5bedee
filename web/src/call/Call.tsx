import {
  LayoutContextProvider,
  RoomAudioRenderer,
  RoomContext,
  useChat,
  useCreateLayoutContext,
  useLocalParticipantPermissions,
} from '@livekit/components-react';
import type { DisconnectReason } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { useCallback, useEffect, useState } from 'react';

import type { Problem } from '../texts/problem';
import { useTitle } from '../ui/useTitle';
import { CallHeader } from './CallHeader';
import { ChatPanel } from './ChatPanel';
import { Controls } from './Controls';
import { EncryptionContext } from './encryptionContext';
import { Interruptions } from './Interruptions';
import type { CallSession } from './session';
import { Stage } from './Stage';
import { useEncryptionState } from './useEncryptionState';

interface CallProps {
  session: CallSession;
  hubName: string;
  onLeft: (reason: DisconnectReason | undefined) => void;
}

/** The call: stage, controls, chat. */
export default function Call({ session, hubName, onLeft }: CallProps) {
  const { room } = session;
  const layout = useCreateLayoutContext();

  useEffect(() => {
    // It may have ended while this page was being drawn.
    if (room.state === ConnectionState.Disconnected) onLeft(undefined);
    room.on(RoomEvent.Disconnected, onLeft);
    return () => {
      room.off(RoomEvent.Disconnected, onLeft);
    };
  }, [room, onLeft]);

  return (
    <RoomContext.Provider value={room}>
      <LayoutContextProvider value={layout}>
        <CallView session={session} hubName={hubName} />
        <RoomAudioRenderer />
      </LayoutContextProvider>
    </RoomContext.Provider>
  );
}

function CallView({ session, hubName }: Omit<CallProps, 'onLeft'>) {
  const { room } = session;
  const [problems, setProblems] = useState<Problem[]>([]);
  const [chatOpen, setChatOpen] = useState(false);
  const [seen, setSeen] = useState(0);
  const chat = useChat();
  const encryption = useEncryptionState(session);
  const permissions = useLocalParticipantPermissions();
  useTitle(room.name, hubName);

  const showProblem = useCallback((problem: Problem) => {
    setProblems((shown) => [...shown.filter((other) => other.title !== problem.title), problem]);
  }, []);
  useEffect(() => {
    void session.publishing.then((failures) => {
      failures.forEach(showProblem);
    });
  }, [session, showProblem]);

  const toggleChat = () => {
    setSeen(chat.chatMessages.length);
    setChatOpen(!chatOpen);
  };

  return (
    <EncryptionContext.Provider value={encryption}>
      <div className="call" data-testid="call" data-chat={chatOpen}>
        <CallHeader />
        <Interruptions
          problems={problems}
          onDismiss={(problem) => {
            setProblems(problems.filter((other) => other !== problem));
          }}
        />
        <Stage />
        {chatOpen && (
          <ChatPanel
            messages={chat.chatMessages}
            send={chat.send}
            mayWrite={permissions?.canPublishData !== false}
            onClose={toggleChat}
          />
        )}
        <Controls
          onProblem={showProblem}
          chatOpen={chatOpen}
          unread={chatOpen ? 0 : chat.chatMessages.length - seen}
          onChat={toggleChat}
        />
      </div>
    </EncryptionContext.Provider>
  );
}
