// SLIP, CLIP and SimCLR: towers, losses, initialisation, optimizer.
export {};
