// A full SLIP_VITB16 training step on a GPU against the same step in PyTorch on it: throughput and GPU memory.
import path from 'node:path';
import { type DeviceKind, findDeviceFacts, reportOnDevice } from '@slip/devices';
import type { Bench } from '../harness.js';
import { torchPeers, torchSubjects } from '../peers.js';

const here = import.meta.dirname;
/** Both in float32: neither rounds the factors of its products. */
const SAME_PRECISION = { NVIDIA_TF32_OVERRIDE: '0' };

const facts = findDeviceFacts(process.env);
const device = chooseGpu();
const ARGS = ['--model', 'SLIP_VITB16', '--batch-size', '64'];

export const gpuStepBench: Bench = {
  name: 'gpu-step',
  question: 'SLIP_VITB16 at batch 64 on a GPU, images per second and GPU memory, against PyTorch on the same GPU, fp32',
  rounds: 3,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'gpuMemoryGB', unit: 'GB', higherIsBetter: false },
  ],
  cases: [
    {
      name: `SLIP_VITB16 batch 64, ${device ?? 'no GPU'}`,
      ours: {
        command: process.execPath,
        args: [path.join(here, '../subjects/gpu-step.js'), '--device', device ?? 'cuda', ...ARGS],
        env: SAME_PRECISION,
      },
      peers: torchSubjects('gpu_step.py', ARGS, SAME_PRECISION),
    },
  ],
  async impossible() {
    if (device !== undefined) return undefined;
    const [cuda, webgpu] = (['cuda', 'webgpu'] as const).map((kind) => reportOnDevice(kind, facts));
    return `there is no GPU here (cuda: ${cuda!.found}; webgpu: ${webgpu!.found}); on a machine with one: npm run bench -- gpu-step --write docs/results/DATE-gpu-step.md`;
  },
  peers: torchPeers('assert torch.cuda.is_available()'),
};

/** SwiftShader and other adapters that compute on the CPU are no GPU. */
function chooseGpu(): DeviceKind | undefined {
  if (reportOnDevice('cuda', facts).isUsable) return 'cuda';
  return facts.adapters.some(({ type }) => type === 'discrete' || type === 'integrated') ? 'webgpu' : undefined;
}
