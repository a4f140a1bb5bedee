import { ConnectionError, DisconnectReason } from 'livekit-client';
import { expect, test } from 'vitest';

import { ApiError, readError } from '../hub/api';
import { CHAT_TEXTS, deliveryText, undecryptable } from './chatText';
import { encryptionText } from './encryptionText';
import { explainRefusal } from './hubProblem';
import { explainInvite, explainNoInvite } from './inviteProblem';
import { explainConnect } from './joinProblem';
import { explainLeft } from './leftReason';
import { explainMedia, insecureContext, UnpluggedError } from './mediaProblem';
import { explainAccount, explainSignIn, explainSignInRefusal } from './signInProblem';

test.each([
  [403, 'The hub did not let you in'],
  [409, 'The room is full'],
  [422, 'The hub does not accept this'],
  [421, 'The hub does not know this address'],
  [429, 'Too many attempts'],
  [503, 'The hub failed'],
])('status %i of the token endpoint', (status, title) => {
  expect(explainRefusal(new ApiError(status, 'message', 'hint'))).toMatchObject({ title, detail: 'message hint' });
});

test.each([
  [404, 'invite-unknown', 'This invite is not known here'],
  [403, 'invite-expired', 'This invite has expired'],
  [403, 'invite-used', 'This invite was used up'],
  [403, 'invite-revoked', 'This invite was withdrawn'],
])('status %i with %s of an invite', (status, code, title) => {
  expect(explainInvite(new ApiError(status, 'message', 'hint', undefined, code))?.title).toBe(title);
});

test.each([
  [401, 'The hub made no invite'],
  [403, 'The hub made no invite'],
  [422, 'The hub made no invite'],
  [429, 'Too many attempts'],
])('status %i where an invite is made in a call', (status, title) => {
  expect(explainNoInvite(new ApiError(status, 'message', 'hint'))).toMatchObject({ title, detail: 'message hint' });
});

test.each([
  new ApiError(429, 'm', 'h', 12, 'too-many-requests'),
  new ApiError(409, 'm', 'h', undefined, 'room-full'),
  new ApiError(502, 'HTTP status 502'),
  new TypeError('Failed to fetch'),
])('an invite may still let in after %s', (error) => {
  expect(explainInvite(error)).toBeUndefined();
});

test.each([
  ['denied', 'You were not signed in'],
  ['unavailable', 'Signing in does not work at the moment'],
  ['failed', 'Signing in failed'],
  ['<script>', 'Signing in failed'],
])('signing in ended with %s', (why, title) => {
  const problem = explainSignIn(why);
  expect(problem.title).toBe(title);
  expect(JSON.stringify(problem)).not.toContain('<script>');
});

test('an account that does not lead into a room is told so', () => {
  expect(explainAccount(new ApiError(403, 'm', 'h'))).toMatchObject({
    title: 'Your account does not lead into this room',
    detail: 'm h',
  });
  expect(explainAccount(new ApiError(409, 'm')).title).toBe('The room is full');
});

test('who can not sign in over http is not sent away for a join link', () => {
  const { title, text } = explainSignInRefusal(new ApiError(403, 'signing in needs https'), false);
  expect(title).toBe('Signing in does not work at this address');
  expect(text).not.toContain('join link');
  expect(text).toContain('https');
  expect(explainSignInRefusal(new ApiError(503, 'm'), false).title).toBe('Signing in does not work at the moment');
});

test('who is at an https address is not sent to one', () => {
  const { text, detail } = explainSignInRefusal(new ApiError(403, "the hub's own pages"), true);
  expect(text).not.toContain('https');
  expect(text).toContain('proxy');
  expect(detail).toContain("the hub's own pages");
});

test('says how long to wait', () => {
  expect(explainRefusal(new ApiError(429, 'm', undefined, 12)).text).toContain('12 seconds');
  expect(explainRefusal(new ApiError(429, 'm', undefined, 120)).text).toContain('2 minutes');
});

test('reads the hub’s error shape, and survives a proxy’s page', () => {
  const full = '{"error":{"code":"room-full","message":"2 of 2","hint":"wait"}}';
  expect(readError(409, full, '5')).toMatchObject({ status: 409, message: '2 of 2', hint: 'wait', retryAfter: 5 });
  expect(readError(502, '<html>', null)).toMatchObject({ status: 502, message: 'HTTP status 502' });
});

test.each([
  [ConnectionError.notAllowed('invalid token', 401), 'The hub refused this join link'],
  [ConnectionError.notAllowed('requested room does not exist', 404), 'This room is not open'],
  [ConnectionError.serverUnreachable('Failed to fetch'), 'The call server does not answer'],
  [ConnectionError.timeout('room connection has timed out (signal)'), 'The call server does not answer'],
  [ConnectionError.timeout('waiting for the first message'), 'The call server does not answer'],
  [ConnectionError.internal('Websocket got closed during a (re)connection attempt'), 'The call server broke off'],
  [ConnectionError.websocket('closed'), 'The hub did not take you in'],
  [ConnectionError.leaveRequest('leave', DisconnectReason.JOIN_FAILURE), 'The hub turned you away'],
  [new Error('what?'), 'Joining failed'],
])('before an answer: %s', (error, title) => {
  expect(explainConnect(error, 'ws://hub', false)).toMatchObject({ title, detail: error.message });
});

test.each([ConnectionError.internal('could not establish pc connection'), ConnectionError.timeout('too long')])(
  'let in: %s',
  (error) => {
    const title = 'No path for sound and picture';
    expect(explainConnect(error, 'ws://hub', true)).toMatchObject({ title, detail: error.message });
  },
);

test('who runs the hub is told how a room is opened there', () => {
  const closed = ConnectionError.notAllowed('requested room does not exist', 404);
  expect(explainConnect(closed, 'ws://hub', false).text).toContain('lkhub rooms create ROOM');
});

test('every reason for an end has words', () => {
  const numbers = Object.values(DisconnectReason).filter((value) => typeof value === 'number');
  for (const reason of [undefined, ...numbers]) {
    const { title, text } = explainLeft(reason);
    expect(title).not.toBe('');
    expect(text).not.toBe('');
  }
  expect(explainLeft(DisconnectReason.DUPLICATE_IDENTITY).title).toBe('You joined from somewhere else');
  expect(explainLeft(undefined).title).toBe('The connection was lost');
});

test.each([
  ['NotAllowedError', 'No permission for the camera'],
  ['NotFoundError', 'No camera found'],
  ['NotReadableError', 'The camera is busy'],
  ['Surprise', 'The camera did not start'],
])('%s of a camera', (name, title) => {
  expect(explainMedia('camera', Object.assign(new Error('detail'), { name }))).toMatchObject({ title });
});

test('a camera that was pulled out', () => {
  expect(explainMedia('camera', new UnpluggedError()).title).toBe('The camera is gone');
});

test('says what a page without TLS can still do', () => {
  expect(insecureContext(true)).toBeUndefined();
  expect(insecureContext(false)?.text).toContain('listen, watch and chat');
});

test.each([
  ['failed', undefined, [], 'Not sent.'],
  ['failed', 'connection', ['Bob'], 'Not sent.'],
  ['waiting', undefined, ['Bob'], 'Being sent…'],
  ['waiting', 'connection', ['Bob'], 'Waits for the connection, and is sent then.'],
  ['waiting', 'others', [], 'Being sent…'],
  ['waiting', 'others', ['Bob'], 'Waits for Bob to be connected again, 15 seconds at most, and is sent then.'],
] as const)('a message that is %s, held up by %s, with %j missing', (delivery, hold, missing, text) => {
  expect(deliveryText(delivery, hold, [...missing])).toBe(text);
});

test('names are listed as far as they can be read', () => {
  expect(deliveryText('waiting', 'others', ['Ann', 'Bob'])).toContain('for Ann and Bob to');
  expect(undecryptable(['Ann', 'Bob', 'Cleo', 'Dan'])).toContain('Ann, Bob, Cleo, and Dan sent');
  expect(undecryptable(['Ann', 'Bob', 'Cleo', 'Dan', 'Eve'])).toContain('Ann, Bob, Cleo, and 2 others sent');
});

test.each([
  ['mismatch', 1, 'What one person here sends can’t'],
  ['mismatch', 2, 'What 2 people here send can’t'],
  ['locked-out', 1, 'One person here uses'],
  ['locked-out', 3, '3 people here use'],
] as const)('encryption is %s because of %i', (status, others, text) => {
  expect(encryptionText(status, others).text).toContain(text);
});

test('where nothing is known of how others encrypt, nothing is said that is false if they do', () => {
  expect(CHAT_TEXTS.plain.audience).toContain('not end-to-end encrypted');
  expect(CHAT_TEXTS.plain.audience).toContain('What others encrypt does not reach you');
  expect(encryptionText('off', 0).text).toContain('Whoever has joined with one can’t be seen, heard or read without it');
});
