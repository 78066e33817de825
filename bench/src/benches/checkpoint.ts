// Checkpoints of SLIP_VITB16 with its optimizer against torch.save and torch.load, in memory and on disk.
import { rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import type { Bench } from '../harness.js';
import { torchPeers, torchSubjects } from '../peers.js';

const subject = fileURLToPath(new URL('../subjects/checkpoint.js', import.meta.url));
/** Written before the first round. */
const shapes = path.join(os.tmpdir(), `slip-bench-shapes-${process.pid}.json`);
const PLACES = { 'tmpfs (/dev/shm)': '/dev/shm', disk: process.env.BENCH_DISK ?? os.tmpdir() };

export const checkpointBench: Bench = {
  name: 'checkpoint',
  question: 'saving and loading SLIP_VITB16 with optimizer, two ranks, against torch.save and torch.load',
  rounds: 3,
  measures: [
    { key: 'saveMs', unit: 'ms', higherIsBetter: false },
    { key: 'stallMs', unit: 'ms', higherIsBetter: false },
    { key: 'saveGBps', unit: 'GB/s', higherIsBetter: true },
    { key: 'loadMs', unit: 'ms', higherIsBetter: false },
  ],
  cases: Object.entries(PLACES).map(([name, folder]) => ({
    name,
    ours: { command: process.execPath, args: [subject, folder] },
    peers: torchSubjects('checkpoint.py', [shapes, folder]),
  })),
  peers: torchPeers(),
  async impossible() {
    const params = stateLayout(resolveModel('SLIP_VITB16', {})).entries.filter(({ kind }) => kind === 'param');
    writeFileSync(shapes, JSON.stringify(Object.fromEntries(params.map(({ name, shape }) => [name, shape]))));
    process.once('exit', () => rmSync(shapes, { force: true }));
    return undefined;
  },
};
