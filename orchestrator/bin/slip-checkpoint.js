#!/usr/bin/env node
// The installed command slip-checkpoint; everything is in src/checkpoint/slip-checkpoint.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/checkpoint/slip-checkpoint.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-checkpoint: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { slipCheckpoint } = await import(command.href);
process.exitCode = await slipCheckpoint(process.argv.slice(2), process.env);
