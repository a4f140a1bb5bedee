// Any program is an agent: this one registers nowhere, tells what it has got, and ends when it is told to.
import { readFileSync } from 'node:fs';

let sum = 0;
for (let i = 0; i < 5e6; i++) sum += i % 7; // long enough to be compiled

// Memory that belongs to no file, and whose content runs: what Node has compiled.
const compiled = readFileSync('/proc/self/maps', 'utf8').split('\n').some((line) => / r.xp 0+ 00:00 0 *$/.test(line));
console.log('TOLD', JSON.stringify({ pid: process.pid, uid: process.getuid(), compiled, variables: process.env, sum }));
process.on('SIGTERM', () => process.exit(console.log('ENDED')));
setInterval(() => {}, 1000);
