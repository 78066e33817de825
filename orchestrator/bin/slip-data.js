#!/usr/bin/env node
// The installed command slip-data; everything is in src/data/slip-data.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/data/slip-data.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-data: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { slipData } = await import(command.href);
process.exitCode = await slipData(process.argv.slice(2));
