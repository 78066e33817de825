#!/usr/bin/env node
// The installed command slip-quickstart; everything is in src/quickstart/quickstart.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/quickstart/quickstart.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-quickstart: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { quickstart } = await import(command.href);
process.exitCode = await quickstart(process.argv.slice(2));
