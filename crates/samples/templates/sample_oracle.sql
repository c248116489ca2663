-- {{ call.method }} of the chat API by {{ call.way }}. Oracle Database 12.2 or newer, by SQL*Plus.
-- SQL*Plus asks for {{ call.secret }}, or reads it from its standard input.
-- An administrator allows the host once with DBMS_NETWORK_ACL_ADMIN; for https, a wallet with the authority is named below.
WHENEVER SQLERROR EXIT FAILURE
SET SERVEROUTPUT ON SIZE UNLIMITED FORMAT WORD_WRAPPED
SET VERIFY OFF
SET FEEDBACK OFF
SET DEFINE ON
ACCEPT chatgate_secret CHAR PROMPT '{{ call.secret }}: ' HIDE
VARIABLE secret VARCHAR2(1024)
-- The tilde and an apostrophe behind each other would end the secret.
EXECUTE :secret := q'~&chatgate_secret~'
UNDEFINE chatgate_secret
-- From here on an ampersand is an ampersand.
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

  -- One piece of a value; encoded piece by piece, since a whole one could grow beyond what a VARCHAR2 holds.
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
  -- One key for one message: who asks again with the same key sends nothing twice.
  add_name('idempotency_key'); add_value(RAWTOHEX(SYS_GUID()));
{%- endif %}

  -- UTL_HTTP.SET_WALLET('file:DIRECTORY', NULL);
  UTL_HTTP.SET_TRANSFER_TIMEOUT(30);
  UTL_HTTP.SET_RESPONSE_ERROR_CHECK(FALSE);
  request := UTL_HTTP.BEGIN_REQUEST({{ call.url }}, 'POST', 'HTTP/1.1');
  UTL_HTTP.SET_HEADER(request, 'Content-Type', 'application/x-www-form-urlencoded');
  UTL_HTTP.SET_HEADER(request, 'Content-Length', DBMS_LOB.GETLENGTH(form));
{%- if call.basic %}
  -- Base64 of Oracle's has line ends, which a header can't hold.
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

  -- An error may come with HTTP status 200, so that the answer's own status counts. What is no JSON has none.
  IF NVL(JSON_VALUE(answer, '$.status'), '-') <> 'SUCCESS' THEN
    RAISE_APPLICATION_ERROR(-20002, NVL(JSON_VALUE(answer, '$.error'), 'not an answer of the chat API'));
  END IF;
  FOR line IN 0 .. TRUNC((DBMS_LOB.GETLENGTH(answer) - 1) / 8000) LOOP
    DBMS_OUTPUT.PUT_LINE(DBMS_LOB.SUBSTR(answer, 8000, line * 8000 + 1));
  END LOOP;
END;
/
EXIT SUCCESS
