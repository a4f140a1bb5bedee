import { expect, test, vi } from 'vitest';

import type { ChatMessage } from './chat';
import { Chat, isGap, isMessage, isUnreadable, UNSURE_MS } from './chat';

function setUp() {
  const line = { open: true, fails: false, sent: [] as string[] };
  let now = 1_000_000;
  let count = 0;
  const chat = new Chat(
    {
      isOpen: () => line.open,
      send: (id, text) => {
        if (line.fails) return Promise.reject(new Error('refused'));
        line.sent.push(`${id} ${text}`);
        return Promise.resolve();
      },
    },
    () => ({ identity: 'ann', name: 'Ann', mine: true }),
    () => `id${++count}`,
    () => now,
  );
  return { chat, line, wait: (ms: number) => (now += ms) };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));
const states = (chat: Chat) => chat.snapshot().map((entry) => (isMessage(entry) ? entry.delivery : 'gap'));
const fromBob = (id: string, text: string, plain = false): Omit<ChatMessage, 'delivery'> => ({
  id,
  from: { identity: 'bob', name: 'Bob', mine: false },
  at: 1,
  text,
  plain,
});

test('what can not be read leaves one entry for all that came in a row', () => {
  const { chat, wait } = setUp();
  const bob = { identity: 'bob', name: 'Bob', mine: false };
  const cleo = { identity: 'cleo', name: 'Cleo', mine: false };
  const seen = () =>
    chat.snapshot().map((entry) => (isGap(entry) ? 'gap' : isUnreadable(entry) ? entry.from.name : entry.text));
  chat.cannotRead(bob);
  chat.cannotRead(cleo); // between two packets of one message
  chat.cannotRead(bob);
  expect(seen()).toEqual(['Bob', 'Cleo']);
  wait(10_000);
  chat.cannotRead(cleo);
  expect(seen()).toEqual(['Bob', 'Cleo']);
  chat.cannotRead(bob);
  chat.receive(fromBob('1', 'with yours'));
  chat.cannotRead(bob);
  expect(seen()).toEqual(['Bob', 'Cleo', 'Bob', 'with yours', 'Bob']);
  expect(chat.unsent()).toEqual([]);
});

test('a message goes out at once where the line is open', async () => {
  const { chat, line } = setUp();
  chat.write('hello');
  await settle();
  expect(line.sent).toEqual(['id1 hello']);
  expect(states(chat)).toEqual(['sent']);
  expect(chat.unsent()).toEqual([]);
});

test('what is written while the connection is lost waits, in order, and is sent when it is back', async () => {
  const { chat, line } = setUp();
  line.open = false;
  chat.lost();
  chat.write('one');
  chat.write('two');
  await settle();
  expect(line.sent).toEqual([]);
  expect(states(chat)).toEqual(['waiting', 'waiting']);
  expect(chat.unsent()).toEqual(['one', 'two']);
  line.open = true;
  chat.back(false);
  await settle();
  expect(line.sent).toEqual(['id1 one', 'id2 two']);
  expect(states(chat)).toEqual(['sent', 'sent']);
});

test('what is written before the others are back waits for them, and says so', async () => {
  const { chat, line } = setUp();
  chat.lost();
  expect(chat.held()).toBe('connection');
  chat.write('while nobody answers');
  const told = vi.fn();
  chat.subscribe(told);
  chat.awaitOthers();
  expect(told).toHaveBeenCalledOnce();
  expect(chat.held()).toBe('others');
  chat.write('while the others are under way');
  await settle();
  expect(line.sent).toEqual([]);
  expect(states(chat)).toEqual(['waiting', 'waiting']);
  chat.back(true);
  await settle();
  expect(chat.held()).toBeUndefined();
  expect(line.sent).toEqual(['id1 while nobody answers', 'id2 while the others are under way']);
});

test('what may have gone down with the old connection is sent again, under its own id', async () => {
  const { chat, line, wait } = setUp();
  chat.write('old');
  await settle();
  wait(UNSURE_MS + 1);
  chat.write('just now');
  await settle();
  line.open = false;
  chat.lost();
  wait(60_000);
  chat.lost();
  line.open = true;
  chat.back(true);
  await settle();
  expect(line.sent).toEqual(['id1 old', 'id2 just now', 'id2 just now']);
  expect(states(chat)).toEqual(['sent', 'sent', 'gap']);
});

test('what may be lost when a call ends is told', async () => {
  const { chat, line, wait } = setUp();
  chat.write('old');
  await settle();
  wait(UNSURE_MS + 1);
  chat.write('just now');
  await settle();
  chat.receive(fromBob('b1', 'hello'));
  expect(chat.unsent()).toEqual([]);
  line.open = false;
  chat.lost();
  expect(chat.unsent()).toEqual(['just now']);
  // The message is sent again, and the connection breaks again.
  line.fails = true;
  chat.back(true);
  await settle();
  expect(chat.unsent()).toEqual(['just now']);
});

test('an attempt on a connection that is gone says nothing of a later one', async () => {
  const ends: (() => void)[] = [];
  const send = () => new Promise<void>((resolve, reject) => ends.push(ends.length === 0 ? () => { reject(new Error('gone')); } : resolve));
  const chat = new Chat({ isOpen: () => true, send }, () => ({ identity: 'ann', name: 'Ann', mine: true }), () => 'id1');
  chat.write('hello');
  chat.lost();
  chat.back(true);
  ends[1]?.();
  await settle();
  expect(states(chat)).toEqual(['sent', 'gap']);
  ends[0]?.();
  await settle();
  expect(states(chat)).toEqual(['sent', 'gap']);
});

test('a connection that is resumed has lost nothing', async () => {
  const { chat, line } = setUp();
  chat.write('just now');
  await settle();
  chat.lost();
  chat.back(false);
  await settle();
  expect(line.sent).toEqual(['id1 just now']);
  expect(states(chat)).toEqual(['sent']);
});

test('what the line refuses says so, keeps its text, and is sent again when asked', async () => {
  const { chat, line } = setUp();
  line.fails = true;
  chat.write('hello');
  await settle();
  expect(states(chat)).toEqual(['failed']);
  expect(chat.unsent()).toEqual(['hello']);
  line.fails = false;
  chat.retry('id1');
  await settle();
  expect(states(chat)).toEqual(['sent']);
});

test('what breaks off because the connection does waits for it', async () => {
  const { chat, line } = setUp();
  line.fails = true;
  chat.write('hello');
  line.open = false;
  await settle();
  expect(states(chat)).toEqual(['waiting']);
  line.fails = false;
  line.open = true;
  chat.back(true);
  await settle();
  expect(states(chat)).toEqual(['sent']);
});

test('a message that comes twice is one message, and an edited one is the newer', () => {
  const { chat } = setUp();
  chat.receive(fromBob('x', 'helo'));
  chat.receive(fromBob('x', 'hello'));
  chat.receive({ ...fromBob('x', 'hello'), from: { identity: 'eve', name: 'Eve', mine: false } });
  expect(chat.snapshot()).toMatchObject([{ text: 'hello' }, { text: 'hello', from: { identity: 'eve' } }]);
});

test('what was encrypted is not replaced by what was not', () => {
  const { chat } = setUp();
  chat.receive(fromBob('x', 'pay Ann'));
  chat.receive(fromBob('x', 'pay Eve', true));
  expect(chat.snapshot()).toMatchObject([{ text: 'pay Ann', plain: false }]);
});
