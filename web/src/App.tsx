import { lazy, Suspense } from 'react';

import { useHub } from './hub/useHub';
import { navigate, usePlace } from './lib/navigation';
import { part } from './lib/part';
import { HomePage } from './pages/HomePage';
import { MessagePage } from './ui/MessagePage';
import { Waiting } from './ui/Waiting';

const ApiPage = lazy(part(() => import('./pages/ApiPage')));
// livekit-client is most of the code, and the start page does not need it.
const JoinPage = lazy(part(() => import('./pages/JoinPage')));

export function App() {
  const [hub, retry] = useHub();
  const { route, visit, signInProblem } = usePlace();

  if (hub.is === 'loading') return <Waiting hubName={undefined} />;
  if (hub.is === 'unreachable') {
    return (
      <MessagePage hubName={undefined} problem={hub.problem} testId="hub-unreachable">
        <button type="button" className="button primary" data-testid="retry" onClick={retry}>
          Try again
        </button>
      </MessagePage>
    );
  }
  switch (route.page) {
    case 'home':
      return <HomePage hub={hub.hub} />;
    case 'api':
      return (
        <Suspense fallback={<Waiting hubName={hub.hub.name} />}>
          <ApiPage hub={hub.hub} />
        </Suspense>
      );
    case 'join':
      return (
        <Suspense fallback={<Waiting hubName={hub.hub.name} />}>
          <JoinPage
            key={`${visit} ${route.room}`}
            hub={hub.hub}
            room={route.room}
            signInProblem={signInProblem}
          />
        </Suspense>
      );
    case 'unknown':
      return (
        <MessagePage
          hubName={hub.hub.name}
          testId="not-found"
          problem={{ title: 'There is no such page', text: 'The address may be misspelt, or cut off.' }}
        >
          <button
            type="button"
            className="button primary"
            onClick={() => {
              navigate('/');
            }}
          >
            To the start page
          </button>
        </MessagePage>
      );
  }
}
