// A job that the scheduler suspends for longer than every deadline goes on as if nothing had happened.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRanks } from './testing/rank-processes.js';

test('all ranks suspended for 30 s', async (context) => {
  const ranks = await startRanks(['reduce', 'reduce', 'reduce', 'reduce'], 5000, (kill) => context.after(kill));
  for (const { process } of ranks) process.kill('SIGSTOP');
  await sleep(30_000);
  for (const { process } of ranks) process.kill('SIGCONT');
  const failed = Promise.race(ranks.map((rank) => rank.next('failed')));
  assert.equal(await Promise.race([failed, sleep(10_000, 'goes on')]), 'goes on');
});
