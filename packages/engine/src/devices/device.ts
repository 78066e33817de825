// Where steps are computed: one interface for all devices. What a machine has and what a device needs is @slip/devices.

import { invariant, SlipError } from '@slip/core';
import type { DeviceKind } from '@slip/devices';
import { createDeviceExecutor } from '../execute/device-executor.js';
import { type DeviceMemory, OrtDeviceMemory } from '../execute/device-memory.js';
import { createOnnxExecutor, type OnnxExecutorOptions } from '../execute/onnx-executor.js';
import type { GraphCache } from '../plan/graph-cache.js';
import type { StepDefinition, StepExecutor } from '../step.js';

export interface ExecutorOptions extends OnnxExecutorOptions {
  /** Of this device. Inputs that are in it when the executor is made are read from it, not from the host. */
  readonly memory?: DeviceMemory;
  /** Outputs that stay in that memory under their names, instead of being copied to the host. */
  readonly kept?: readonly string[];
}

export interface Device {
  readonly kind: DeviceKind;
  /** Whether tensors can stay on it between steps; otherwise all that a step reads and writes is in the host's memory. */
  readonly keepsTensors: boolean;
  /** Where graphs compiled for it are kept, where they are. */
  readonly graphCache?: GraphCache;
  /** @throws SlipError `internal` where it keeps no tensors */
  openMemory(): DeviceMemory;
  /** @throws SlipError as `createOnnxExecutor` */
  createExecutor(step: StepDefinition, options: ExecutorOptions): Promise<StepExecutor>;
}

export interface DeviceOptions {
  /** With CUDA and TensorFlow: the number among the visible GPUs, default 0. */
  readonly gpuIndex?: number;
  /** Where compiled graphs are kept from one start to the next, with `cpu` and `cuda`. */
  readonly graphCache?: GraphCache;
  /** The folder of TensorFlow's package for Node. */
  readonly tensorflowFolder?: string;
}

export const CPU: Device = hostDevice('cpu');

/** @throws SlipError `unsupported` when the device cannot be used here */
export async function openDevice(kind: DeviceKind, options: DeviceOptions = {}): Promise<Device> {
  switch (kind) {
    case 'cpu':
      return hostDevice('cpu', options);
    case 'cuda':
      return hostDevice('cuda', options);
    case 'webgpu':
      return webGpuDevice();
    case 'tensorflow':
      return (await import('./tensorflow.js')).openTensorFlow(options);
    default:
      return kind satisfies never;
  }
}

/** ONNX Runtime's Node binding keeps tensors on no device of CUDA: they are copied for every run. */
function hostDevice(kind: 'cpu' | 'cuda', { gpuIndex = 0, graphCache }: DeviceOptions = {}): Device {
  return {
    kind,
    keepsTensors: false,
    ...(graphCache === undefined ? {} : { graphCache }),
    openMemory: () => {
      throw new SlipError('internal', `${kind} keeps no tensors`);
    },
    createExecutor: (step, options) =>
      createOnnxExecutor(step, {
        ...{ ...options, provider: kind, gpuIndex },
        ...(graphCache === undefined ? {} : { graphCache }),
      }),
  };
}

/** The first session asks for an adapter: better here, with a message of its own, than in the middle of a start. */
async function webGpuDevice(): Promise<Device> {
  const trial = new OrtDeviceMemory('webgpu');
  try {
    await trial.upload([{ name: 'trial', shape: [], values: Float32Array.of(1) }]);
  } catch (error) {
    const reason = /Failed to get[^\n]*/.exec((error as Error).message)?.[0] ?? (error as Error).message;
    throw new SlipError('unsupported', `WebGPU cannot be used: ${reason}; slip-launch doctor tells what it found`, {
      cause: error,
    });
  } finally {
    await trial.close();
  }
  return {
    kind: 'webgpu',
    keepsTensors: true,
    openMemory: () => new OrtDeviceMemory('webgpu'),
    createExecutor: (step, { memory, ...options }) => {
      invariant(memory === undefined || memory instanceof OrtDeviceMemory, 'the memory is of this device');
      return createDeviceExecutor(step, {
        ...options,
        provider: 'webgpu',
        ...(memory === undefined ? {} : { memory }),
      });
    },
  };
}
