#!/usr/bin/env node
// The installed command slip-launch; everything is in src/cli/slip-launch.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/cli/slip-launch.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-launch: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { slipLaunch } = await import(command.href);
process.exitCode = await slipLaunch(process.argv.slice(2), process.env);
