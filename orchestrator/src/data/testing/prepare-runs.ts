// For tests: slip-data inside this process, and a set prepared from a small tree in its official layout.
import assert from 'node:assert/strict';
import path from 'node:path';
import { classList } from '@slip/data';
import { verifyLabelled } from '@slip/data/prepare';
import { slipData } from '../slip-data.js';
import { OFFICIAL } from './official-trees.js';

export async function run(...flags: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const [out, err] = [process.stdout.write, process.stderr.write];
  // What the test runner writes meanwhile has to arrive.
  const collector = (stream: NodeJS.WriteStream, write: typeof out) => (piece: string | Uint8Array) => {
    if (typeof piece === 'string') text += piece;
    return write.call(stream, piece);
  };
  process.stdout.write = collector(process.stdout, out) as typeof out;
  process.stderr.write = collector(process.stderr, err) as typeof err;
  try {
    return { code: await slipData(flags), text };
  } finally {
    process.stdout.write = out;
    process.stderr.write = err;
  }
}

/** Makes the archive's tree, prepares the set and looks through it. */
export async function sortOfficial(work: string, root: string, name: string): Promise<void> {
  const { make, train, test: evaluated } = OFFICIAL[name];
  const folders = classList(name)!.map(({ folder }) => folder);
  const source = path.join(work, 'official', name);
  make(source, folders);
  const { code, text } = await run('prepare', name, '--source', source, '--root', root);
  assert.equal(code, 0, text);
  assert.match(text, new RegExp(`check it with: slip-data verify ${name}`));
  const found = await verifyLabelled({
    ...{ place: { catalog: '', root }, name, concurrency: 8 },
    progress: () => undefined,
  });
  for (const split of found)
    assert.deepEqual([split.seen, split.warning, split.bad], [folders.length, undefined, []], name);
  assert.deepEqual(
    found.map(({ images }) => images),
    [train * folders.length, evaluated * folders.length],
    name,
  );
}
