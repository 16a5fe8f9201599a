// Reads cases, one JSON object a line, and says of each whether the stock ICS-23 library, under its
// stock Tendermint spec, takes the proof: {"proof", "root", "items": [[key, value or null], ...]}.
// With "unlike", other bytes for that same message are not counted: Protocol Buffers have many.
const fs = require("fs");
const { ics23, tendermintSpec, verifyMembership, verifyNonMembership } = require("@confio/ics23");

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

function accepted(one) {
  try {
    const proof = ics23.CommitmentProof.decode(bytes(one.proof));
    const root = bytes(one.root);
    const again = Buffer.from(ics23.CommitmentProof.encode(proof).finish()).toString("hex");
    if (again === one.unlike) return false;
    return one.items.every(([key, value]) =>
      value === null
        ? verifyNonMembership(proof, tendermintSpec, root, bytes(key))
        : verifyMembership(proof, tendermintSpec, root, bytes(key), bytes(value)),
    );
  } catch (error) {
    return false;
  }
}

const lines = fs.readFileSync(0, "utf8").split("\n").filter(Boolean);
console.log(JSON.stringify(lines.map((line) => accepted(JSON.parse(line)))));
