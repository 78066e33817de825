// Memory of this process by its address, so that another of its threads uses it in place: what JavaScript allocates for one thread
// is copied on its way to another, and ONNX Runtime takes no SharedArrayBuffer.
import { createRequire } from 'node:module';

/** Bytes in the address space of all threads of a process. Whoever owns them sees to it that they stay while others use them. */
export interface MemoryPlace {
  readonly address: bigint;
  readonly bytes: number;
}

export interface ThreadMemory {
  placeOf(view: ArrayBufferView): MemoryPlace;
  /** The memory of another thread. One view of a place for each thread: ask once and keep it. */
  viewAt(place: MemoryPlace): ArrayBuffer;
}

let loaded: ThreadMemory | 'missing' | undefined;

/** @returns undefined where memory cannot be addressed: the package koffi is not for every platform */
export function threadMemory(): ThreadMemory | undefined {
  loaded ??= load();
  return loaded === 'missing' ? undefined : loaded;
}

function load(): ThreadMemory | 'missing' {
  let koffi: typeof import('koffi');
  try {
    koffi = createRequire(import.meta.url)('koffi');
  } catch {
    return 'missing';
  }
  return {
    placeOf: (view) => ({ address: koffi.address(view), bytes: view.byteLength }),
    viewAt: ({ address, bytes }) => koffi.view(address, bytes) as ArrayBuffer,
  };
}
