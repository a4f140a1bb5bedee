import '../styles/api.css';

import { FileJson2 } from 'lucide-react';

import { fetchDocument } from '../hub/api';
import type { Hub } from '../hub/contract';
import { useAnswer } from '../hub/useAnswer';
import type { Address, Document, Field } from '../lib/openapi';
import { listAddresses, readBody, writeCurl } from '../lib/openapi';
import { hubAwaited } from '../texts/hubProblem';
import { Notice } from '../ui/Notice';
import { Page } from '../ui/Page';
import { useTitle } from '../ui/useTitle';

// How each way to authenticate is called in a sentence. An operation without any names none.
const WAYS: Record<string, string> = {
  apiKey: 'an API key',
  openid: 'an access token of the OpenID provider',
  session: 'the cookie of a person who signed in',
  joinToken: 'the token of a participant',
  livekit: 'LiveKit’s signature',
};

/** `/api/docs`: what the hub answers, from its OpenAPI document. */
export default function ApiPage({ hub }: { hub: Hub }) {
  useTitle('API', hub.name);
  const [answer] = useAnswer(fetchDocument);
  return (
    <Page hubName={hub.name} wide>
      <div className="api">
        <div>
          <h1>The API of this hub</h1>
          <p className="lead">What applications may ask, what the hub answers, and why it refuses.</p>
        </div>
        {answer.is === 'loading' && (
          <p className="waiting" role="status">
            <span className="spinner" aria-hidden="true" />
            One moment…
          </p>
        )}
        {answer.is === 'failed' && <Notice problem={hubAwaited(answer.error)} />}
        {answer.is === 'known' && <Contents document={answer.value} />}
      </div>
    </Page>
  );
}

function Contents({ document }: { document: Document }) {
  const schemes = Object.entries(document.components.securitySchemes);
  return (
    <>
      <section className="card" data-testid="api-intro">
        <p>
          <Words text={document.info.description} />
        </p>
        {schemes.length > 0 && (
          <>
            <h2>How a caller proves itself</h2>
            <dl className="api-rows api-ways">
              {schemes.map(([name, scheme]) => (
                <div key={name}>
                  <dt>{WAYS[name] ?? name}</dt>
                  <dd>
                    <Words text={scheme.description} />
                  </dd>
                </div>
              ))}
            </dl>
          </>
        )}
        <div className="actions">
          <a className="button" href="/api/openapi.json">
            <FileJson2 aria-hidden="true" /> openapi.json
          </a>
        </div>
      </section>
      <section className="card api-addresses">
        <h2>Addresses</h2>
        {listAddresses(document).map((address) => (
          <details key={address.operation.operationId} data-testid="api-address">
            <summary>
              <span className="api-method" data-method={address.method}>
                {address.method}
              </span>
              <code>{address.path}</code>
              <span className="api-summary">{address.operation.summary}</span>
            </summary>
            <Details document={document} address={address} />
          </details>
        ))}
      </section>
    </>
  );
}

function Details({ document, address }: { document: Document; address: Address }) {
  const { operation } = address;
  const request = readBody(document, operation.requestBody);
  const ways = operation.security.flatMap((way) => Object.keys(way)).map((name) => WAYS[name] ?? name);
  const free = operation.security.some((way) => Object.keys(way).length === 0);
  return (
    <div className="api-details">
      <p>
        <b>Who may ask:</b> {free ? 'anyone' : ''}
        {free && ways.length > 0 ? ', also with ' : free ? '' : 'a caller with '}
        {ways.join(', or ')}
      </p>
      {(operation.parameters ?? []).map(({ name, description }) => (
        <p key={name}>
          <b>
            Header <code>{name}</code>:
          </b>{' '}
          <Words text={description} />
        </p>
      ))}
      {operation.requestBody && (
        <>
          <h3>Request</h3>
          <p>
            <code>{request.media}</code> <Words text={operation.requestBody.description} />
          </p>
          <Fields fields={request.fields} />
        </>
      )}
      <h3>Answers</h3>
      <ul>
        {Object.entries(operation.responses).map(([status, response]) => (
          <li key={status}>
            <b className="api-status" data-good={status < '400'}>
              {status}
            </b>
            <div>
              {response.description.split('\n').map((line) => (
                <p key={line}>
                  <Words text={line} />
                </p>
              ))}
              {response.headers && <p className="field-note">With {Object.keys(response.headers).join(', ')}</p>}
              {status < '400' && <Fields fields={readBody(document, response).fields} />}
            </div>
          </li>
        ))}
      </ul>
      <h3>With curl</h3>
      <pre>
        <code>{writeCurl(document, address, location.origin)}</code>
      </pre>
    </div>
  );
}

function Fields({ fields }: { fields: Field[] }) {
  if (fields.length === 0) return null;
  return (
    <dl className="api-rows">
      {fields.map(({ name, type, required }) => (
        <div key={name}>
          <dt>
            <code>{name}</code>
          </dt>
          <dd>
            {type}
            {required ? '' : ', may be left out'}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** A text with code in backticks. */
function Words({ text }: { text: string }) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}
