#!/usr/bin/env node
// The installed command slip-submit; everything is in src/submit/slip-submit.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/submit/slip-submit.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-submit: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { slipSubmit } = await import(command.href);
process.exitCode = await slipSubmit(process.argv.slice(2), process.env);
