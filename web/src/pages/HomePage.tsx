import { ArrowRight, Link2 } from 'lucide-react';
import type { SubmitEvent } from 'react';
import { useId, useState } from 'react';

import type { Hub } from '../hub/contract';
import { destination } from '../lib/joinLink';
import { navigate } from '../lib/navigation';
import { Page } from '../ui/Page';
import { useTitle } from '../ui/useTitle';

const REACH: Record<Hub['reach'], string> = {
  local: 'This hub is for this machine only',
  lan: 'This hub is for this network',
  public: 'This hub can be reached from the internet',
};

/** `/`: the hub's name, and a field to enter a room. */
export function HomePage({ hub }: { hub: Hub }) {
  const [typed, setTyped] = useState('');
  const inputId = useId();
  const open = hub.tokens === 'open';
  // Where people sign in, the name of a room leads on too.
  const byName = open || hub.sign_in === true;
  useTitle('Start', hub.name);

  const go = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const path = destination(typed);
    if (path) navigate(path);
  };

  return (
    <Page hubName={hub.name}>
      <section className="card home" data-testid="home">
        <h1>{byName ? 'Start or join a call' : 'Join a call'}</h1>
        <p className="lead">
          {open
            ? 'Everyone who types the same room name meets in the same call.'
            : byName
              ? 'Type the name of a room, and sign in on the next page. A join link or an invite works here too.'
              : 'You need a join link or an invite here: whoever runs this hub makes one for you.'}
        </p>
        <form className="home-form" onSubmit={go}>
          <div className="field">
            <label htmlFor={inputId}>{open ? 'Room name' : byName ? 'Room name, or link' : 'Join link or invite'}</label>
            <input
              id={inputId}
              data-testid="room-input"
              value={typed}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              maxLength={4096}
              placeholder={byName ? 'for example: standup' : `${location.origin}/join/…`}
              onChange={(event) => {
                setTyped(event.target.value);
              }}
            />
          </div>
          <button type="submit" className="button primary" data-testid="go" disabled={typed.trim() === ''}>
            Continue <ArrowRight aria-hidden="true" />
          </button>
        </form>
        {!byName && (
          <p className="hint" data-testid="link-needed">
            <Link2 aria-hidden="true" />
            <span>
              On the hub’s machine, <code>lkhub invite ROOM</code> makes an invite for several people, and{' '}
              <code>lkhub token --room ROOM --identity NAME --link</code> a join link for one person.
            </span>
          </p>
        )}
      </section>
      <p className="footnote">
        {REACH[hub.reach]} · lkhub {hub.version}
      </p>
    </Page>
  );
}
