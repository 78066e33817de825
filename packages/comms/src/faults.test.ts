// What goes wrong between ranks that are processes ends in one clear error that names the rank, on every rank, and soon.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startRanks } from './testing/rank-processes.js';

/** Not reached by any test: what is named here is named by something else than the deadline. */
const UNHURRIED_MS = 60_000;

for (const transport of ['shared', 'tcp'] as const) {
  const over = `, transport ${transport}`;
  test(`a rank killed in the middle of an all-reduce is named by every survivor${over}`, async (context) => {
    const ranks = await startRanks(
      ['reduce', 'reduce', 'reduce'],
      UNHURRIED_MS,
      (kill) => context.after(kill),
      transport,
    );
    ranks[2].process.kill('SIGKILL');
    for (const rank of [ranks[0], ranks[1]]) {
      const { code, message, culprit } = await rank.next('failed');
      assert.match(message, /^the connection to rank 2 \(tcp:\S+\) was lost: its process has ended/);
      assert.deepEqual([code, culprit], ['peer-lost', 2]);
    }
    assert.deepEqual(await Promise.all([ranks[0].exited, ranks[1].exited]), [0, 0], 'survivors end by themselves');
  });

  test(`a stopped rank is named by every survivor when the deadline has passed${over}`, async (context) => {
    const ranks = await startRanks(
      ['reduce', 'reduce', 'reduce', 'reduce'],
      2000,
      (kill) => context.after(kill),
      transport,
    );
    ranks[2].process.kill('SIGSTOP');
    for (const rank of [ranks[0], ranks[1], ranks[3]]) {
      const { code, message, culprit } = await rank.next('failed');
      assert.match(message, /^rank 2 is late: rank \d waited 2 s in allReduce sum #\d+ of 2000000 elements/);
      assert.deepEqual([code, culprit], ['peer-lost', 2]);
    }
    const exits = await Promise.all([ranks[0].exited, ranks[1].exited, ranks[3].exited]);
    assert.deepEqual(exits, [0, 0, 0], 'survivors end by themselves');
  });

  test(`a stopped rank is named by its silence when the deadline is far${over}`, async (context) => {
    const ranks = await startRanks(
      ['reduce', 'reduce', 'reduce'],
      UNHURRIED_MS,
      (kill) => context.after(kill),
      transport,
    );
    ranks[2].process.kill('SIGSTOP');
    for (const rank of [ranks[0], ranks[1]]) {
      const { message, culprit } = await rank.next('failed');
      assert.match(message, /^the connection to rank 2 \(tcp:\S+\) was lost: its process has ended or is stopped/);
      assert.equal(culprit, 2);
    }
  });

  test(`a whole job that is suspended for longer than the deadline goes on${over}`, async (context) => {
    const ranks = await startRanks(['reduce', 'reduce', 'reduce'], 1000, (kill) => context.after(kill), transport);
    for (const { process } of ranks) process.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 2500));
    for (const { process } of ranks) process.kill('SIGCONT');
    const failed = Promise.race(ranks.map((rank) => rank.next('failed')));
    const outcome = await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 1500, 'goes on'))]);
    assert.equal(outcome, 'goes on');
  });
}

for (const [play, odd] of [
  ['other operation', /barrier #3/],
  ['other size', /allReduce sum #3 of 1999999 elements/],
] as const) {
  test(`${play} on one rank is named at once, on all`, async (context) => {
    const ranks = await startRanks(['reduce', play, 'reduce'], UNHURRIED_MS, (kill) => context.after(kill));
    for (const rank of ranks) {
      const { message } = await rank.next('failed');
      assert.match(message, /^ranks disagree: rank \d is at .*, rank \d at /);
      assert.match(message, odd);
      assert.match(message, /allReduce sum #3 of 2000000 elements/);
    }
    assert.deepEqual(await Promise.all(ranks.map((rank) => rank.exited)), [0, 0, 0]);
  });
}

test('ranks that have closed their groups end by themselves', async (context) => {
  const ranks = await startRanks(['finish', 'finish'], UNHURRIED_MS, (kill) => context.after(kill));
  assert.deepEqual(await Promise.all(ranks.map((rank) => rank.exited)), [0, 0]);
});

for (const transport of ['shared', 'tcp'] as const) {
  test(`a rank that leaves is named by the one that goes on, transport ${transport}`, async (context) => {
    const ranks = await startRanks(['reduce', 'finish'], UNHURRIED_MS, (kill) => context.after(kill), transport);
    const { message, culprit } = await ranks[0].next('failed');
    assert.match(message, /^rank 1 has left while rank 0 waits for it in allReduce sum #3/);
    assert.equal(culprit, 1);
  });
}
