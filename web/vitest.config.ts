import { defineConfig } from 'vitest/config';

// Pure logic only; the pages are tested in a real browser against a real hub.
export default defineConfig({ test: { include: ['src/**/*.test.ts'], environment: 'node' } });
