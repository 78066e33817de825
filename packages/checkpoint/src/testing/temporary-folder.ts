// For tests: a folder that goes with the test.
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';

export function temporaryFolder(t: TestContext, parent = os.tmpdir()): string {
  const folder = mkdtempSync(path.join(parent, 'slip-checkpoint-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Skips the test where the system has no tmpfs at its usual place. */
export function folderInMemory(t: TestContext): string | undefined {
  const TMPFS = 0x01021994;
  const parent = '/dev/shm';
  if (existsSync(parent) && statfsSync(parent).type === TMPFS) return temporaryFolder(t, parent);
  t.skip(`${parent} is no tmpfs here`);
  return undefined;
}
