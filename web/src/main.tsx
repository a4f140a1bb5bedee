import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/prejoin.css';
import './styles/call.css';
import './styles/controls.css';
import './styles/tile.css';
import './styles/panel.css';
import './styles/chat.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './App';
import { ensureRandomUuid } from './lib/randomUuid';
import { Safety } from './ui/Safety';

ensureRandomUuid(window.crypto);

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element #root');
createRoot(root).render(
  <StrictMode>
    <Safety>
      <App />
    </Safety>
  </StrictMode>,
);
