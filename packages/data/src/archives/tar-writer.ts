// Tar members for WebDataset shards: ustar headers, nothing else.

const BLOCK = 512;

/** Header, content and padding of one member. @param name at most 100 bytes of ASCII */
export function tarMember(name: string, content: Uint8Array): Buffer {
  const bytes = Buffer.alloc(BLOCK + Math.ceil(content.length / BLOCK) * BLOCK);
  bytes.write(name, 0, 'latin1');
  bytes.write('0000644\0', 100, 'latin1');
  bytes.write('0000000\0', 108, 'latin1');
  bytes.write('0000000\0', 116, 'latin1');
  bytes.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  bytes.write('00000000000\0', 136, 'latin1');
  bytes.fill(' ', 148, 156);
  bytes.write('0', 156, 'latin1');
  bytes.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += bytes[i];
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  bytes.set(content, BLOCK);
  return bytes;
}

/** The end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}
