// Which device a worker takes and what is said where one is missing: pure decisions from the facts of machines that are not here.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkDevices, chooseDevice } from './choose.js';
import { type DeviceFacts, findDeviceFacts } from './facts.js';
import { mendFailed, reportOnDevice, reportOnDevices } from './report.js';

const BARE: DeviceFacts = {
  platform: 'linux-x64',
  numNvidiaGpus: 0,
  adapters: [],
  adapterProblem: 'Vulkan finds no device',
  missingProviderFiles: ['libonnxruntime_providers_cuda.so'],
  missingCudaLibraries: ['libcudnn.so.9'],
};
const ADAPTER = { name: 'H100', type: 'discrete', uuid: 'ab12' } as const;
const CLUSTER: DeviceFacts = {
  ...BARE,
  numNvidiaGpus: 8,
  nvidiaDriver: '550.54',
  adapters: [ADAPTER],
  missingProviderFiles: [],
  missingCudaLibraries: [],
};

test('auto takes cuda where all of it is here, else a real GPU, else the CPU', () => {
  assert.equal(chooseDevice('auto', CLUSTER, 0).kind, 'cuda');
  assert.equal(chooseDevice('auto', { ...CLUSTER, missingCudaLibraries: ['libcudnn.so.9'] }, 0).kind, 'webgpu');
  const software = { ...BARE, adapters: [{ ...ADAPTER, type: 'cpu' as const }] };
  assert.equal(chooseDevice('auto', software, 0).kind, 'cpu');
  assert.equal(chooseDevice('webgpu', software, 0).kind, 'webgpu', 'on request also one that computes on the CPU');
  assert.equal(chooseDevice('auto', BARE, 0).kind, 'cpu');
});

test('a worker takes the GPU of its local rank among those that it may see', () => {
  const take = (visibleGpus: string | undefined, localRank: number) => {
    const { gpuIndex, identity } = chooseDevice(
      'cuda',
      { ...CLUSTER, ...(visibleGpus === undefined ? {} : { visibleGpus }) },
      localRank,
    );
    return [gpuIndex, identity];
  };
  assert.deepEqual(take(undefined, 3), [3, '3']);
  assert.deepEqual(take('4,5,6', 2), [2, '6']);
  assert.deepEqual(take('7', 3), [0, '7'], 'one that the launcher left to this worker alone');
  assert.deepEqual(take('GPU-aa,GPU-bb', 1), [1, 'GPU-bb']);
  assert.throws(() => take('4,5', 2), { code: 'unsupported', message: /local rank 2 finds 2 visible GPUs .*=4,5/ });
  assert.throws(() => take('-1', 0), { code: 'unsupported', message: /let a GPU be seen/ });
});

test('what is missing is named with the command that mends it', () => {
  assert.throws(() => chooseDevice('cuda', { ...BARE, nvidiaDriver: '550.54', numNvidiaGpus: 1 }, 0), {
    code: 'unsupported',
    message:
      /--device cuda cannot be used here \(1 visible GPU, driver 550.54; missing: libonnxruntime_providers_cuda.so, libcudnn.so.9\); npm run setup-cuda .*; then load CUDA 12 and cuDNN 9/,
  });
  assert.throws(() => chooseDevice('webgpu', BARE, 0), { message: /no adapter.*apt-get install chromium/ });
  assert.throws(() => chooseDevice('webgpu', { ...BARE, numNvidiaGpus: 1 }, 0), { message: /nvidia_icd.json/ });
  assert.throws(() => chooseDevice('tensorflow', BARE, 0), { message: /npm run build-tensorflow -- --output DIR/ });
  assert.match(reportOnDevice('cuda', { ...CLUSTER, platform: 'darwin-arm64' }).mend!, /not on darwin-arm64/);
  const software: DeviceFacts = { ...BARE, adapters: [{ name: 'llvmpipe', type: 'cpu', uuid: 'cd34' }] };
  assert.match(mendFailed('webgpu', software)!, /VK_DRIVER_FILES=/);
  assert.equal(mendFailed('webgpu', CLUSTER), undefined);
  assert.equal(chooseDevice('cpu', BARE, 0).kind, 'cpu');
});

test('two workers on one device of a host are refused, and so are different kinds', () => {
  const on = (host: string, identity: string) => ({ host, kind: 'webgpu', name: 'H100', identity }) as const;
  checkDevices([on('a', '1'), on('a', '2'), on('b', '1')]);
  assert.throws(() => checkDevices([on('a', '1'), on('b', '1'), on('b', '1')]), {
    code: 'unsupported',
    message: /ranks 1 and 2 on b would share one device, H100 \(1\); WebGPU always takes the first adapter/,
  });
  const { identity: _, ...shared } = on('a', '1');
  checkDevices([shared, shared]);
  assert.throws(() => checkDevices([on('a', '1'), { host: 'b', kind: 'cpu', name: 'the CPU' }]), {
    message: /rank 1 on b has cpu .*rank 0 on a has webgpu.*give --device/,
  });
});

test('the facts of this machine can be read, and every device has a report', () => {
  const facts = findDeviceFacts({ CUDA_VISIBLE_DEVICES: '0' });
  assert.equal(facts.visibleGpus, '0');
  const reports = reportOnDevices(facts);
  assert.deepEqual(
    reports.map(({ kind }) => kind),
    ['cpu', 'webgpu', 'cuda', 'tensorflow'],
  );
  for (const { isUsable, mend } of reports) assert.equal(mend === undefined, isUsable);
});
