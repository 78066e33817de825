// docs/errors.md lists exactly the codes of the error table, with their exit codes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { ERROR_CODES } from '@slip/core';

test('docs/errors.md has every error code once, with its exit code and a meaning', () => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (\d+) \| (\S.*\S) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, exitCode]) => [code, Number(exitCode)]),
    Object.entries(ERROR_CODES),
  );
});
