// the control-plane wire: messages, versions, limits.
export {};
