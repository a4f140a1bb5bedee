import type { Problem } from './problem';

export const LOST = 'The connection to the hub was lost. Reconnecting…';
export const LOST_DETAIL = 'You see the call as it was; nothing new arrives until it is back.';
export const RESUMING = 'Reconnecting to the hub… Sound and picture may go on meanwhile.';
export const BACK = 'Connected again.';

export const RECORDED: Problem = {
  title: 'This call is being recorded',
  text: 'Somebody here, or a program, keeps what is said and shown. It may be heard and seen by others later.',
};
export const RECORDING_ENDED = 'The recording has ended.';

export const LOW_POWER: Problem = {
  title: 'Your picture is sent smaller',
  text: 'This device can’t keep up with encoding it, so low-power mode is on. Turn it off under Devices.',
  about: 'low-power',
};

export function comingVerb(came: boolean): string {
  return came ? 'joined' : 'left';
}

export function peopleText(count: number): string {
  return count === 1 ? 'Only you are here' : `${count} people are here`;
}

/** Who can use the address of a room, on a hub that gives tokens to everyone. */
export const ADDRESS_NOTE = {
  local: 'Whoever opens it on this machine can join. Other devices can’t reach it.',
  lan: 'Whoever opens it in this network can join.',
  public: 'Whoever opens it can join.',
};

export const LINK_NOTE =
  'Everyone else needs a join link of their own; whoever runs the hub makes one. Yours is for you alone: another device ' +
  'that opens it takes your place.';

export const INVITED_NOTE = 'Others need an invite too. Ask whoever invited you, or whoever runs the hub.';

/** Who can use the address of a room, on a hub where people sign in. */
export const ACCOUNT_NOTE = 'Whoever has an account here can join there, after signing in.';

export function inviteNote(expiresAt: Date): string {
  const until = expiresAt.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  return `Whoever opens it can join, several people too, until ${until}.`;
}
