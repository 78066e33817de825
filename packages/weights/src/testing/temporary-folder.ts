// For tests: a folder that goes with the test, and the folder of PyTorch's own files.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';

export const TORCH_GOLDEN = path.resolve(import.meta.dirname, '../../../../test/golden/torch');

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-weights-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
