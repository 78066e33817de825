// Writes a numpy file of objects, as `numpy.load(file, allow_pickle=True)` reads it, record by record.
import { type AtomicFile, writeAtomically } from '@slip/core';
import { ListPickler, type Picklable } from '@slip/pickle';

const HEADER_BYTES = 128;

export async function writeNpyObjects(
  file: string,
  fill: (add: (record: Picklable) => Promise<void>) => Promise<void>,
): Promise<number> {
  return writeAtomically(file, async (out) => {
    await out.write(npyHeader(0));
    const pickler = new ListPickler('array');
    await addAll(out, pickler, fill);
    const { offset, bytes } = pickler.countPatch();
    await out.patch(bytes, HEADER_BYTES + offset);
    await out.patch(npyHeader(pickler.count), 0);
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

function npyHeader(count: number): Buffer {
  const dict = `{'descr': '|O', 'fortran_order': False, 'shape': (${count},), }`;
  const header = Buffer.alloc(HEADER_BYTES, ' ');
  header.write('\x93NUMPY\x01\0', 0, 'latin1');
  header.writeUInt16LE(HEADER_BYTES - 10, 8);
  header.write(dict, 10, 'latin1');
  header.write('\n', HEADER_BYTES - 1);
  return header;
}
