// Lines of the pipe survive the way, and nothing else passes for one.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { beatLine, parseWorkerLine, progressLine } from './worker-pipe.js';

test('beats and progress come back as they were', () => {
  fc.assert(
    fc.property(fc.nat(), (step) => {
      assert.deepEqual(parseWorkerLine(beatLine(step).trimEnd()), { kind: 'beat', step });
    }),
  );
  assert.deepEqual(parseWorkerLine(progressLine(0.25, 'step 1/4').trimEnd()), {
    kind: 'progress',
    share: 0.25,
    text: 'step 1/4',
  });
});

test('no text can steer the terminal, break the line or grow without end', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.string({ unit: 'binary', maxLength: 500 }),
      (share, text) => {
        const line = progressLine(share, text);
        assert.match(line, /^bar [\x20-\x7e]{0,220}\n$/);
        assert.equal(parseWorkerLine(line.slice(0, -1))?.kind, 'progress');
      },
    ),
  );
});

test('other lines are not understood', () => {
  for (const line of ['', '-1', '1.5', '99999999999', 'bar 2.000000 x', 'bar 0.5', 'bar 0.500000 \x1b[2J', 'noise']) {
    assert.equal(parseWorkerLine(line), undefined, line);
  }
});
