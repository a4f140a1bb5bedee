import { useOthers } from './callContext';

/** The names of the others by identity; undefined for who is not there. */
export function useNames(): (identity: string) => string | undefined {
  const others = useOthers();
  return (identity) => others.find((other) => other.identity === identity)?.name;
}
