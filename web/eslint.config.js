import js from '@eslint/js';
import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig([
    globalIgnores(['node_modules', 'dist']),
    { linterOptions: { reportUnusedDisableDirectives: 'error' } },
    {
        files: ['**/*.{ts,tsx}'],
        extends: [
            js.configs.recommended,
            tseslint.configs.strictTypeChecked,
            tseslint.configs.stylisticTypeChecked,
            reactHooks.configs.flat['recommended-latest'],
            jsxA11y.flatConfigs.strict,
        ],
        languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
        rules: {
            // Numbers in texts ("3 people") are meant.
            '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
        },
    },
    // Written by json-schema-to-typescript, which knows index signatures only.
    { files: ['src/hub/contract.ts'], rules: { '@typescript-eslint/consistent-indexed-object-style': 'off' } },
    { files: ['**/*.js'], extends: [js.configs.recommended] },
]);
