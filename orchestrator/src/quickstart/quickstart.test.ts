// Where the quickstart looks for its result; the training itself is tested elsewhere.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { runFolderOf } from './quickstart.js';

test('the run folder follows every spelling of --output-dir', () => {
  assert.equal(runFolderOf([]), path.resolve('runs/quickstart'));
  assert.equal(runFolderOf(['--epochs', '1']), path.resolve('runs/quickstart'));
  for (const flags of [['--output-dir', 'a'], ['--output_dir', 'a'], ['--output-dir=a'], ['--output_dir=a']])
    assert.equal(runFolderOf(['--lr', '1', ...flags]), path.resolve('a'), flags.join(' '));
  assert.equal(runFolderOf(['--output-dir=a', '--output-dir', 'b']), path.resolve('b'));
});
