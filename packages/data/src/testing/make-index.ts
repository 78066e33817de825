// A process that opens an index of a file's lines, making it when it is not there: `node make-index.js SOURCE LOG PAUSE_MS`.
// It notes in LOG that it builds, and pauses in the midst of it. For tests only.
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { openCachedIndex } from '../index-file/cached-index.js';

const [source, log, pauseMs] = process.argv.slice(2);
const index = await openCachedIndex({
  kind: 'lines',
  subject: source,
  settings: [],
  recordsPerBlock: 16,
  async build({ writer, watch }) {
    appendFileSync(log, 'built\n');
    await watch(source);
    for (const line of readFileSync(source, 'utf8').split('\n')) writer.add([line]);
    await setTimeout(Number(pauseMs));
  },
});
process.exitCode = index.count === 3 ? 0 : 1;
process.disconnect?.();
