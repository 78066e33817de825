// Preparing sets of which even a small official archive has thousands of pictures.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { OFFICIAL } from './testing/official-trees.js';
import { sortOfficial } from './testing/prepare-runs.js';

const work = mkdtempSync(path.join(os.tmpdir(), 'slip-prepare-'));
after(() => rmSync(work, { recursive: true, force: true }));

for (const [name, { isLarge }] of Object.entries(OFFICIAL))
  if (isLarge === true)
    test(`${name} is sorted as its official archive says`, () => sortOfficial(work, path.join(work, 'sorted'), name));
