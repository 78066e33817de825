// Files that appear complete or not at all.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { writeAtomically } from './atomic-write.js';

const work = mkdtempSync(path.join(os.tmpdir(), 'slip-atomic-'));
after(() => rmSync(work, { recursive: true, force: true }));

test('pieces of any size and patches make up the file, which appears at the end', async () => {
  const file = path.join(work, 'pieces');
  const pieces = Array.from({ length: 300 }, (_, i) => Buffer.alloc(i * 100, i % 251));
  const bytes = await writeAtomically(file, async (out) => {
    for (const [i, piece] of pieces.entries()) {
      await out.write(piece);
      if (i === 200) await out.patch(Buffer.from('patched'), 1000);
    }
    assert.ok(!readdirSync(work).includes('pieces'));
    return out.position;
  });
  const expected = Buffer.concat(pieces);
  expected.write('patched', 1000);
  assert.equal(bytes, expected.length);
  assert.ok(readFileSync(file).equals(expected));
});

test('a failure leaves what was there', async () => {
  const file = path.join(work, 'kept');
  writeFileSync(file, 'before');
  const failing = writeAtomically(file, async (out) => {
    await out.write(Buffer.alloc(3 << 20));
    throw new Error('no more');
  });
  await assert.rejects(failing, /no more/);
  assert.equal(readFileSync(file, 'utf8'), 'before');
  assert.ok(readdirSync(work).every((name) => !name.endsWith('.tmp')));
  await assert.rejects(
    writeAtomically(path.join(work, 'none/x'), async () => {}),
    { code: 'ENOENT' },
  );
});
