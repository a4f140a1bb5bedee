import { useConnectionState, useLocalParticipantPermissions } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useEffect, useRef, useState } from 'react';

import { LOW_POWER } from '../texts/callText';
import { explainMedia } from '../texts/mediaProblem';
import type { Concern, Problem } from '../texts/problem';
import { useTitle } from '../ui/useTitle';
import { useCall } from './callContext';
import { CallHeader } from './CallHeader';
import { ChatPanel } from './ChatPanel';
import { Comings } from './Comings';
import { Controls } from './Controls';
import { EncryptionContext } from './encryptionContext';
import { Interruptions } from './Interruptions';
import { LiveRegion } from './LiveRegion';
import { PeoplePanel } from './PeoplePanel';
import { watchRecovery } from './recovery';
import { Stage } from './Stage';
import { useEncryptionState } from './useEncryptionState';
import { useFailedMessages } from './useFailedMessages';
import { useProblems } from './useProblems';
import { useUnread } from './useUnread';

type PanelName = 'chat' | 'people';

/** Stage, panels, controls, and all announcements. */
export function CallView() {
  const { session, hub } = useCall();
  const [panel, setPanel] = useState<PanelName>();
  const problems = useProblems();
  const encryption = useEncryptionState(session);
  const permissions = useLocalParticipantPermissions();
  const connected = useConnectionState() === ConnectionState.Connected;
  const [draft, setDraft] = useState('');
  const unread = useUnread(panel === 'chat');
  const opener = useRef<HTMLElement>(null);
  useTitle(session.room.name, hub.name);
  useFailedMessages(panel === 'chat', problems);
  useOwnProblems(problems.show, problems.settle);

  const toggle = (name: PanelName, button: HTMLElement) => {
    opener.current = button;
    setPanel(panel === name ? undefined : name);
  };
  const toggleChat = (button: HTMLElement) => {
    toggle('chat', button);
  };
  const togglePeople = (button: HTMLElement) => {
    toggle('people', button);
  };
  const close = () => {
    setPanel(undefined);
    opener.current?.focus();
  };

  return (
    <EncryptionContext.Provider value={encryption}>
      <div className="call" data-testid="call" data-panel={panel} data-connected={connected}>
        <CallHeader peopleOpen={panel === 'people'} onPeople={togglePeople} />
        <Interruptions problems={problems.shown} onDismiss={problems.dismiss} />
        <Stage />
        {panel === 'chat' && (
          <ChatPanel
            draft={draft}
            onDraft={setDraft}
            mayWrite={permissions?.canPublishData !== false}
            onClose={close}
          />
        )}
        {panel === 'people' && <PeoplePanel onClose={close} />}
        <Comings />
        <Controls
          onProblem={problems.show}
          chatOpen={panel === 'chat'}
          unread={unread}
          onChat={toggleChat}
          onEscape={panel ? close : undefined}
        />
        <LiveRegion />
      </div>
    </EncryptionContext.Provider>
  );
}

/** Problems with devices before the call, problems that come up later, and what works again. */
function useOwnProblems(show: (problem: Problem) => void, settle: (concern: Concern) => void): void {
  const { session } = useCall();
  useEffect(() => {
    void session.publishing.then((failures) => {
      failures.forEach(show);
    });
    const stops = [
      watchRecovery(session.room, session.lowPower, settle),
      session.lowPower.onTurnedOn(() => {
        show(LOW_POWER);
      }),
      session.lowPower.onCameraFailed((error) => {
        show(explainMedia('camera', error));
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [session, show, settle]);
}
