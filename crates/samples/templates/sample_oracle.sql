-- Calls {{ call.method }} of the chat API by {{ call.way }}. Run it with SQL*Plus on Oracle Database 12.2 or newer.
-- SQL*Plus asks for {{ call.secret }}, or reads it from its standard input.
-- An administrator has to allow the host once with DBMS_NETWORK_ACL_ADMIN. For https, name a wallet with the certificate authority below.
WHENEVER SQLERROR EXIT FAILURE
SET SERVEROUTPUT ON SIZE UNLIMITED FORMAT WORD_WRAPPED
SET VERIFY OFF
SET FEEDBACK OFF
SET DEFINE ON
ACCEPT chatgate_secret CHAR PROMPT '{{ call.secret }}: ' HIDE
VARIABLE secret VARCHAR2(1024)
-- A tilde followed by an apostrophe would end the secret.
EXECUTE :secret := q'~&chatgate_secret~'
UNDEFINE chatgate_secret
-- From here on an ampersand has no special meaning.
SET DEFINE OFF

DECLARE
  form     CLOB;
  answer   CLOB;
  chunk    VARCHAR2(32767);
  request  UTL_HTTP.REQ;
  response UTL_HTTP.RESP;
  position PLS_INTEGER := 1;

  PROCEDURE add_name(text VARCHAR2) IS
  BEGIN
    form := form || CASE WHEN form IS NOT NULL THEN '&' END || text || '=';
  END;

  -- Adds one piece of a value. Values are encoded in pieces, because a whole encoded value could exceed the size of a VARCHAR2.
  PROCEDURE add_value(text VARCHAR2) IS
  BEGIN
    form := form || UTL_URL.ESCAPE(text, TRUE, 'AL32UTF8');
  END;
BEGIN
  add_name('class'); add_value('chat');
  add_name('method'); add_value('{{ call.method }}');
{%- if call.http %}
  add_name('user'); add_value({{ call.user }});
  add_name('password'); add_value(:secret);
{%- endif %}
{%- for field in call.fields %}
  add_name('{{ field.name }}');
{%- for piece in field.pieces %}
  add_value({{ piece }});
{%- endfor %}
{%- endfor %}
{%- if call.send %}
  -- Use one key per message: a retry with the same key never sends the message twice.
  add_name('idempotency_key'); add_value(RAWTOHEX(SYS_GUID()));
{%- endif %}

  -- UTL_HTTP.SET_WALLET('file:DIRECTORY', NULL);
  UTL_HTTP.SET_TRANSFER_TIMEOUT(30);
  UTL_HTTP.SET_RESPONSE_ERROR_CHECK(FALSE);
  request := UTL_HTTP.BEGIN_REQUEST({{ call.url }}, 'POST', 'HTTP/1.1');
  UTL_HTTP.SET_HEADER(request, 'Content-Type', 'application/x-www-form-urlencoded');
  UTL_HTTP.SET_HEADER(request, 'Content-Length', DBMS_LOB.GETLENGTH(form));
{%- if call.basic %}
  -- The Base64 of Oracle contains line breaks, which are not allowed in a header.
  UTL_HTTP.SET_HEADER(request, 'Authorization', 'Basic ' || REPLACE(REPLACE(UTL_RAW.CAST_TO_VARCHAR2(
    UTL_ENCODE.BASE64_ENCODE(UTL_I18N.STRING_TO_RAW({{ call.user }} || ':' || :secret, 'AL32UTF8'))),
    CHR(13)), CHR(10)));
{%- endif %}
  WHILE position <= DBMS_LOB.GETLENGTH(form) LOOP
    UTL_HTTP.WRITE_TEXT(request, DBMS_LOB.SUBSTR(form, 8000, position));
    position := position + 8000;
  END LOOP;
  response := UTL_HTTP.GET_RESPONSE(request);
  UTL_HTTP.SET_BODY_CHARSET(response, 'AL32UTF8');
  BEGIN
    LOOP
      UTL_HTTP.READ_TEXT(response, chunk, 8000);
      answer := answer || chunk;
    END LOOP;
  EXCEPTION
    WHEN UTL_HTTP.END_OF_BODY THEN
      UTL_HTTP.END_RESPONSE(response);
  END;

  -- An error may have HTTP status 200, so check the status in the response. A response that is not JSON has no status.
  IF NVL(JSON_VALUE(answer, '$.status'), '-') <> 'SUCCESS' THEN
    RAISE_APPLICATION_ERROR(-20002, NVL(JSON_VALUE(answer, '$.error'), 'not an answer of the chat API'));
  END IF;
  FOR line IN 0 .. TRUNC((DBMS_LOB.GETLENGTH(answer) - 1) / 8000) LOOP
    DBMS_OUTPUT.PUT_LINE(DBMS_LOB.SUBSTR(answer, 8000, line * 8000 + 1));
  END LOOP;
END;
/
EXIT SUCCESS
