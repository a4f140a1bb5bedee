// A token server as LiveKit's documentation shows it: it signs what it is asked for.
import express from "express";
import { AccessToken } from "livekit-server-sdk";

const { LIVEKIT_API_KEY: key, LIVEKIT_API_SECRET: secret, LIVEKIT_URL: url, PORT: port } = process.env;
const app = express();
app.use(express.json());
app.post("/token", async (request, response) => {
  const { room, identity } = request.body;
  const token = new AccessToken(key, secret, { identity, ttl: "6h" });
  token.addGrant({ roomJoin: true, room, canPublish: true, canSubscribe: true });
  response.json({ token: await token.toJwt(), url });
});
app.listen(Number(port), "127.0.0.1");
