import { usePersistentUserChoices } from '@livekit/components-react';
import type { SubmitEvent } from 'react';
import { useEffect, useId, useState } from 'react';

import type { Hub } from '../hub/contract';
import type { Admission } from '../lib/admission';
import { displayName } from '../lib/displayName';
import { navigate } from '../lib/navigation';
import { joinPath } from '../lib/route';
import type { Preview } from '../media/preview';
import { savedSpeaker, saveSpeaker } from '../media/speaker';
import { insecureContext } from '../texts/mediaProblem';
import type { Problem } from '../texts/problem';
import { Notice } from '../ui/Notice';
import { Page } from '../ui/Page';
import { useTitle } from '../ui/useTitle';
import { AccountField } from './AccountField';
import { DeviceFields } from './DeviceFields';
import { EncryptionField } from './EncryptionField';
import { NameField } from './NameField';
import { PreviewPane } from './PreviewPane';
import { WithoutLink } from './WithoutLink';

/** A person's choices before joining. */
export interface Wish {
  name: string;
  devices: { microphone: string; camera: string; speaker: string };
  passphrase: string;
}

interface PreJoinProps {
  hub: Hub;
  room: string;
  admission: Admission;
  preview: Preview;
  passphrase: string;
  onPassphrase: (passphrase: string) => void;
  problem: Problem | undefined;
  busy: boolean;
  onJoin: (wish: Wish) => void;
}

const DEVICES_POSSIBLE = insecureContext(window.isSecureContext) === undefined;

/** Devices, name and passphrase, and a preview of this person's own picture. */
export function PreJoin({
  hub,
  room,
  admission,
  preview,
  passphrase,
  onPassphrase,
  problem,
  busy,
  onJoin,
}: PreJoinProps) {
  const saved = usePersistentUserChoices();
  const choices = saved.userChoices;
  const [speaker, setSpeaker] = useState(savedSpeaker);
  const claims = admission.by === 'link' ? admission.claims : undefined;
  const [name, setName] = useState(claims?.name ?? nameToStartWith(admission, choices.username));
  const [nameMissing, setNameMissing] = useState(false);
  const nameId = useId();
  const nameIsFixed = claims !== undefined && !claims.mayRename;
  const mayPublish = claims?.mayPublish !== false;
  const withDevices = mayPublish && DEVICES_POSSIBLE;
  useTitle(`Join ${room}`, hub.name);

  useEffect(() => {
    if (!withDevices) return;
    const choice = { microphone: choices.audioDeviceId, camera: choices.videoDeviceId };
    if (choices.audioEnabled && choices.videoEnabled) preview.startBoth(choice);
    else if (choices.audioEnabled) preview.startMicrophone(choice.microphone);
    else if (choices.videoEnabled) preview.startCamera(choice.camera);
    return () => {
      preview.stop();
    };
    // Only the devices that were saved earlier start by themselves; later choices start the chosen device.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [preview, withDevices]);

  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const trimmed = name.trim();
    if (!nameIsFixed && trimmed === '') {
      setNameMissing(true);
      document.getElementById(nameId)?.focus();
      return;
    }
    if (!nameIsFixed) saved.saveUsername(trimmed);
    onJoin({
      name: trimmed,
      devices: { microphone: choices.audioDeviceId, camera: choices.videoDeviceId, speaker },
      passphrase,
    });
  };

  return (
    <Page hubName={hub.name} wide>
      <form className="prejoin" data-testid="prejoin" onSubmit={submit}>
        <PreviewPane preview={preview} saved={saved} name={name} withDevices={withDevices} />
        <div className="prejoin-form">
          <h1>
            Join <span className="room-name">{room}</span>
          </h1>
          {!DEVICES_POSSIBLE && mayPublish && <InsecureNotice />}
          {!mayPublish && (
            <Notice
              tone="info"
              testId="watch-only"
              problem={{ title: 'You join as a listener', text: 'This link lets you listen, watch and chat.' }}
            />
          )}
          {problem && (
            <Notice problem={problem} testId="join-problem">
              {admission.by === 'link' && <WithoutLink hub={hub} room={room} />}
              {admission.by === 'open' && hub.sign_in && <SignInInstead room={room} />}
            </Notice>
          )}
          <NameField
            id={nameId}
            name={nameIsFixed ? displayName(claims) : name}
            fixed={nameIsFixed}
            missing={nameMissing}
            onName={(value) => {
              setName(value);
              setNameMissing(false);
            }}
          />
          <DeviceFields
            preview={preview}
            saved={saved}
            withDevices={withDevices}
            speaker={speaker}
            onSpeaker={(deviceId) => {
              setSpeaker(deviceId);
              saveSpeaker(deviceId);
            }}
          />
          <EncryptionField passphrase={passphrase} onPassphrase={onPassphrase} />
          {admission.by === 'account' && <AccountField name={admission.name} />}
          <button type="submit" className="button primary large" data-testid="join" disabled={busy} aria-busy={busy}>
            {busy ? 'Joining…' : withDevices ? 'Join' : 'Join to listen, watch and chat'}
          </button>
        </div>
      </form>
    </Page>
  );
}

/** An account has a name already; otherwise it is the one that this browser used before. */
function nameToStartWith(admission: Admission, used: string): string {
  return (admission.by === 'account' && admission.name) || used;
}

function SignInInstead({ room }: { room: string }) {
  const goOn = () => {
    navigate(joinPath(room));
  };
  return (
    <button type="button" className="button" data-testid="sign-in-instead" onClick={goOn}>
      Sign in instead
    </button>
  );
}

function InsecureNotice() {
  const problem = insecureContext(window.isSecureContext);
  return problem && <Notice tone="info" testId="insecure-context" problem={problem} />;
}
