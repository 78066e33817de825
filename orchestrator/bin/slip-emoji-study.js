#!/usr/bin/env node
// The command behind `npm run emoji-study`; everything is in src/study/emoji-study.ts.
import { existsSync } from 'node:fs';

const command = new URL('../dist/study/emoji-study.js', import.meta.url);
if (!existsSync(command)) {
  process.stderr.write('slip-emoji-study: not built yet; run npm run build in the project folder\n');
  process.exit(4);
}
const { emojiStudy } = await import(command.href);
process.exitCode = await emojiStudy(process.argv.slice(2));
