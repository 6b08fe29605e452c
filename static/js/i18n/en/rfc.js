/* What the RFCs say, in English: the close codes, the fields of a frame and of the handshake. */

// The names are those of the IANA registry (RFC 6455, section 11.7), then what to make of it.
export const closeCodes = {
  1000: ["Normal Closure", "The connection did what it was for and ended in order."],
  1001: ["Going Away", "The server is shutting down, or the page was left. Try again once it is back."],
  1002: ["Protocol Error", "One side sent something that is not WebSocket. A proxy in between may have changed it."],
  1003: ["Unsupported Data", "The server does not take this kind of message. Try text in place of binary, or the other way round."],
  1004: ["Reserved", "This code has no meaning yet. The other side should not have used it."],
  1005: ["No Status Received", "The connection was closed in order, but no code was given."],
  1006: ["Abnormal Closure", "It broke off without a closing handshake: the server died, the network failed or a proxy gave up."],
  1007: ["Invalid Payload Data", "A message did not match its type, such as text that is not UTF-8."],
  1008: ["Policy Violation", "The server has a rule against what was sent or how often. The reason, if one is given, says more."],
  1009: ["Message Too Big", "The message was larger than the server takes. Send a smaller one, or start the server with a larger --max-message-size."],
  1010: ["Mandatory Extension", "The browser wanted an extension that the server did not agree to."],
  1011: ["Internal Error", "Something went wrong inside the server. Its log says what."],
  1012: ["Service Restart", "The server is restarting and should be back shortly."],
  1013: ["Try Again Later", "The server has too much to do at the moment. Wait a little before you connect again."],
  1014: ["Bad Gateway", "A proxy in between got no valid answer from the server behind it."],
  1015: ["TLS Handshake", "No secure connection came about. The server’s certificate may not be valid for this address."],
  3000: ["Unauthorized", "The server wants to know who you are first."],
  3003: ["Forbidden", "The server knows who you are and does not allow this."],
  3008: ["Timeout", "The server waited too long for something."],
};

export const closeRanges = [
  [3000, 3999, ["Registered Code", "A library or framework defined this code. Its documentation says what it means."]],
  [4000, 4999, ["Private Code", "This application defined the code itself. It has no public meaning."]],
  [0, 65535, ["Unknown Code", "This code is not registered."]],
];

// [what it is for, RFC, section]
export const notes = {
  section: (rfc, section) => `RFC ${rfc}, section ${section}`,
  fin: ["1 on the last frame of a message, which is often the only one. 0: more frames of it follow.", 6455, "5.2"],
  rsv1: ["Reserved for extensions. permessage-deflate sets it on the first frame of a compressed message; otherwise it is 0.", 7692, "6"],
  rsv2: ["Reserved for extensions. 0, unless an extension was negotiated that gives it a meaning.", 6455, "5.2"],
  rsv3: ["Reserved for extensions. 0, unless an extension was negotiated that gives it a meaning.", 6455, "5.2"],
  opcode: ["What the payload is: 0 continuation, 1 text, 2 binary; and control frames: 8 close, 9 ping, A pong. The others are reserved.", 6455, "5.2"],
  mask: ["Whether the payload is masked. Always 1 from a client, always 0 from a server.", 6455, "5.1"],
  length: ["The payload’s length in bytes if it is 0 to 125. 126: the next 16 bits are the length; 127: the next 64 bits.", 6455, "5.2"],
  extended: ["The payload’s length, most significant byte first, in the fewest bytes that can hold it.", 6455, "5.2"],
  key: ["Four bytes that the client chooses at random for each frame. Byte i of the payload is XORed with byte i mod 4 of the key, so that no page can put bytes of its choice on the wire.", 6455, "5.3"],
  request: ["The handshake begins as an HTTP GET request, so that HTTP servers and proxies understand it.", 6455, "4.1"],
  status: ["101 ends HTTP on this connection. Behind the empty line both sides speak WebSocket.", 6455, "4.2.2"],
  host: ["Which host is meant, as in every HTTP/1.1 request.", 6455, "4.1"],
  upgrade: ["Asks for, and confirms, the change of protocol to websocket.", 6455, "4.1"],
  connection: ["Says that Upgrade is for the next hop: proxies must not pass it on as it is.", 6455, "4.1"],
  origin: ["The site of the page that connects. The browser sets it, scripts cannot: servers use it to keep foreign pages out.", 6455, "10.2"],
  "sec-websocket-key": ["16 random bytes in base64, new for each connection. They are no secret; they prove that the answer is to this request.", 6455, "11.3.1"],
  "sec-websocket-version": ["The version of the protocol, always 13.", 6455, "11.3.5"],
  "sec-websocket-protocol": ["The subprotocols that the client offers, in the order of its preference; in the response the one that the server chose.", 6455, "11.3.4"],
  "sec-websocket-extensions": ["The extensions offered, and in the response those chosen with their parameters.", 6455, "9.1"],
  "sec-websocket-accept": ["Base64 of the SHA-1 of key and GUID: proof that a WebSocket server has read the request.", 6455, "4.2.2"],
};
