// Writes a numpy file of objects, as `numpy.load(file, allow_pickle=True)` reads it, record by record.
import { type AtomicFile, writeAtomically } from '@slip/core';
import { ListPickler, type Picklable } from '@slip/pickle';
import { encodeNpyHeader, NPY_HEADER_BYTES } from '../datasets/npy-header.js';

export async function writeNpyObjects(
  file: string,
  fill: (add: (record: Picklable) => Promise<void>) => Promise<void>,
): Promise<number> {
  return writeAtomically(file, async (out) => {
    await out.write(encodeNpyHeader('|O', [0]));
    const pickler = new ListPickler('array');
    await addAll(out, pickler, fill);
    const { offset, bytes } = pickler.countPatch();
    await out.patch(bytes, NPY_HEADER_BYTES + offset);
    await out.patch(encodeNpyHeader('|O', [pickler.count]), 0);
    return pickler.count;
  });
}

/** A pickled list, record by record. */
export async function writePickledList(
  file: string,
  fill: (add: (record: Picklable) => Promise<void>) => Promise<void>,
): Promise<number> {
  return writeAtomically(file, async (out) => {
    const pickler = new ListPickler('list');
    await addAll(out, pickler, fill);
    return pickler.count;
  });
}

const GATHERED = 1000;

async function addAll(
  out: AtomicFile,
  pickler: ListPickler,
  fill: (add: (record: Picklable) => Promise<void>) => Promise<void>,
): Promise<void> {
  await fill(async (record) => {
    pickler.add(record);
    if (pickler.count % GATHERED === 0) await out.write(pickler.take());
  });
  await out.write(pickler.end());
}
