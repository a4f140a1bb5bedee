import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { compression } from 'vite-plugin-compression2';

// The hub that `npm run dev` borrows its API from; `lkhub up` serves it there by default.
const DEV_HUB = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [
    react(),
    // Once, and as small as it gets; `lkhub serve` picks the one that a browser takes (lkhub/service/pages.py).
    compression({ include: /\.(html|js|css|svg|md)$/, threshold: 0, algorithms: ['brotliCompress', 'gzip'] }),
  ],
  build: {
    // The Python package carries the built pages; `lkhub serve` sends them.
    outDir: '../lkhub/web',
    emptyOutDir: true,
    // Files under /assets, nothing inlined: the content security policy stays simple.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ['index.html', 'src/styles/trust.css'],
      output: {
        // One file is found by its name: the page /trust, which links it, is not made here.
        assetFileNames: ({ names }) => (names.includes('trust.css') ? 'trust.css' : 'assets/[name]-[hash][extname]'),
      },
    },
    // livekit-client and the components are one chunk of about 650 kB before compression, wanted whole by a call.
    chunkSizeWarningLimit: 1000,
    // What the wheel carries of other people's work, and under which terms.
    license: { fileName: 'assets/licenses.md' },
  },
  worker: { format: 'es' },
  server: { proxy: { '/api': DEV_HUB } },
});
