// Silence is counted only while the observer itself was running.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SilenceWatch } from './silence-watch.js';

test('silence adds up over regular checks and ends when the peer is heard', () => {
  const watch = new SilenceWatch(100, 0);
  for (let now = 100; now <= 1000; now += 100) watch.check(now);
  assert.equal(watch.check(1100), 1100);
  watch.heard();
  assert.equal(watch.check(1200), 100);
});

test('a gap in which the observer was suspended counts as four intervals at most', () => {
  const watch = new SilenceWatch(100, 0);
  assert.equal(watch.check(3_600_000), 400);
});
