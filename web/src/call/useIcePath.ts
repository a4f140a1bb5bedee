import type { Room } from 'livekit-client';
import { useEffect, useState } from 'react';

import type { IcePath, StatsEntry } from '../lib/icePath';
import { leastDirect, readIcePath } from '../lib/icePath';

/** A path changes when the network does; reading the statistics costs little. */
const REFRESH_MS = 2_000;

export interface IcePaths {
  /** The path to show; undefined until one is in use. */
  shown: IcePath | undefined;
  /** One per peer connection. */
  all: IcePath[];
}

export function useIcePath(room: Room): IcePaths {
  const [paths, setPaths] = useState<IcePath[]>([]);

  useEffect(() => {
    let current = true;
    const read = async () => {
      const found = await readPaths(room);
      if (current) setPaths(found);
    };
    void read();
    const timer = setInterval(() => void read(), REFRESH_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [room]);

  return { shown: leastDirect(paths), all: paths };
}

async function readPaths(room: Room): Promise<IcePath[]> {
  // `engine` is gone once a room is left, whatever its type says.
  const manager = (room.engine as Room['engine'] | undefined)?.pcManager;
  const reports = await Promise.all([manager?.publisher.getStats(), manager?.subscriber?.getStats()]);
  return reports.flatMap((report) => {
    const entries: StatsEntry[] = [];
    report?.forEach((entry: StatsEntry) => entries.push(entry));
    return readIcePath(entries) ?? [];
  });
}
