/** The encryption of a call, as far as this person's page knows. */
export type EncryptionStatus = 'off' | 'on' | 'mismatch' | 'locked-out';

interface EncryptionText {
  label: string;
  text: string;
}

/** `others`: how many people can't be decrypted, if any. */
export function encryptionText(status: EncryptionStatus, others: number): EncryptionText {
  const people = others === 1 ? 'One person' : `${others} people`;
  switch (status) {
    case 'mismatch':
      return {
        label: 'Other passphrase',
        text:
          `What ${people.toLowerCase()} here ${others === 1 ? 'sends' : 'send'} can’t be decrypted: your passphrases ` +
          'differ, or it was changed on the way. Agree on one, and type it under “Other passphrase”.',
      };
    case 'locked-out':
      return {
        label: 'No passphrase',
        text:
          `${people} here ${others === 1 ? 'uses' : 'use'} end-to-end encryption, and you have no passphrase. To see, ` +
          'hear and read them, leave and join again with theirs.',
      };
    case 'on':
      return {
        label: 'Encrypted',
        text:
          'What you say, show and write is encrypted on this device. Only those who have the passphrase can read it; the ' +
          'hub can’t.',
      };
    case 'off':
      return {
        label: 'Not end-to-end',
        text:
          'The line to the hub is encrypted, but the hub itself could see, hear and read. For end-to-end encryption, leave ' +
          'and join with a passphrase. Whoever has joined with one can’t be seen, heard or read without it.',
      };
  }
}
