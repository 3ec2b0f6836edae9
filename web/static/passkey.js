/* Passkeys. A form with data-passkey="get" or "create" asks the device, puts the answer into its own fields and sends
   itself. The output of the PRF extension goes into the field "prf" and nowhere else: not into "answer", which the
   keyholder gets, not into an address, not into any store of the browser. */
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (data) =>
  btoa(String.fromCharCode(...new Uint8Array(data))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const listed = (words) => words.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: bytes(id) }));

function wanted(form) {
  const said = form.dataset;
  const salt = said.prf ? { prf: { eval: { first: bytes(said.prf) } } } : {};
  const shared = { challenge: bytes(said.challenge), timeout: 300000, extensions: salt };
  if (said.passkey === "get") {
    return { ...shared, rpId: said.host, userVerification: "required", allowCredentials: listed(said.credentials) };
  }
  return {
    ...shared,
    rp: { id: said.host, name: said.clinic },
    user: { id: bytes(said.user), name: said.name, displayName: said.name },
    pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
    authenticatorSelection: { residentKey: said.resident || "preferred", userVerification: "required" },
    excludeCredentials: listed(said.credentials),
    attestation: "none",
  };
}

function answer(made) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature"]) {
    if (made.response[name]) response[name] = text(made.response[name]);
  }
  return JSON.stringify({ id: made.id, response });
}

async function ask(form) {
  const show = (name, yes) => { form.querySelector(`[data-part="${name}"]`).hidden = !yes; };
  show("failed", false);
  show("asking", true);
  try {
    const made = await (form.dataset.passkey === "get"
      ? navigator.credentials.get({ publicKey: wanted(form) })
      : navigator.credentials.create({ publicKey: wanted(form) }));
    const found = made.getClientExtensionResults().prf;
    form.elements.answer.value = answer(made);
    form.elements.prf.value = found && found.results && found.results.first ? text(found.results.first) : "";
    form.submit();
  } catch {
    show("asking", false);
    show("failed", true);
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    form.querySelector('[data-part="cannot"]').hidden = false;
    continue;
  }
  form.querySelector('[data-part="can"]').hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
  if (form.dataset.now) ask(form);
}
