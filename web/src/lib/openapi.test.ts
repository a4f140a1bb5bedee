import { expect, test } from 'vitest';

import type { Document } from './openapi';
import { describeType, listAddresses, readBody, writeCurl } from './openapi';

const document: Document = {
  info: { title: 'The hub hub', version: '1', description: '' },
  paths: {
    '/api/hub': { get: { operationId: 'getHub', summary: '', security: [{}], responses: {} } },
    '/api/invites': {
      post: {
        operationId: 'createInvite',
        summary: '',
        security: [{ apiKey: [] }],
        requestBody: {
          description: '',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/InviteRequest' } } },
        },
        responses: {},
      },
    },
  },
  components: {
    schemas: {
      InviteRequest: {
        type: 'object',
        properties: { room: { type: 'string', maxLength: 256 }, uses: { type: 'integer' } },
        required: ['room'],
      },
    },
    securitySchemes: {},
  },
};

test('addresses are listed with their methods', () => {
  expect(listAddresses(document).map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /api/hub',
    'POST /api/invites',
  ]);
});

test('the fields of a body are those of its model', () => {
  expect(readBody(document, document.paths['/api/invites']?.post?.requestBody)).toEqual({
    media: 'application/json',
    fields: [
      { name: 'room', type: 'text, at most 256 characters', required: true },
      { name: 'uses', type: 'whole number', required: false },
    ],
  });
  expect(readBody(document, undefined)).toEqual({ media: '', fields: [] });
});

test.each([
  [{ anyOf: [{ type: 'string', minLength: 1 }, { type: 'null' }] }, 'text, at least 1 characters or null'],
  [{ type: 'integer', minimum: 1, maximum: 9 }, 'whole number, 1 to 9'],
  [{ enum: ['open', 'link'] }, '"open" or "link"'],
  [{ const: 'no-store' }, '"no-store"'],
  [{ type: 'object', additionalProperties: { type: 'string' } }, 'object of texts'],
  [{}, 'any JSON'],
])('%o in words', (schema, words) => {
  expect(describeType(schema)).toBe(words);
});

test('a command has the credential and the fields that the request needs', () => {
  const [hub, invites] = listAddresses(document).map((address) => writeCurl(document, address, 'https://hub'));
  expect(hub).toBe('curl \\\n  https://hub/api/hub');
  expect(invites).toBe(
    "curl \\\n  -H 'Authorization: Bearer KEY' \\\n  -H 'Content-Type: application/json' \\\n" +
      '  -d \'{"room": "…"}\' \\\n  https://hub/api/invites',
  );
});
