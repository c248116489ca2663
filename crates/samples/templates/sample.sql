-- Calls {{ call.method }} of the chat API by {{ call.way }}. SQL Server 2019 or newer. Run it with sqlcmd, with {{ call.secret }} in the environment.
-- sqlcmd replaces the name below with the secret, so double every apostrophe of the secret in the environment.
-- An administrator has to allow OLE Automation once: EXEC sp_configure 'Ole Automation Procedures', 1; RECONFIGURE;
:on error exit
SET NOCOUNT ON;

DECLARE @url nvarchar(4000) = {{ call.url }};
DECLARE @secret nvarchar(max) = N'$({{ call.secret }})';
{%- if call.http || call.basic %}
DECLARE @user nvarchar(max) = {{ call.user }};
{%- endif %}
{%- for field in call.fields %}
DECLARE @{{ field.name }} nvarchar(max) = N'';
{%- for piece in field.pieces %}
SET @{{ field.name }} += {{ piece }};
{%- endfor %}
{%- endfor %}

-- The call as JSON; the server encodes it.
DECLARE @body nvarchar(max) = (SELECT
  N'chat' AS [class],
{%- if call.http %}
  @user AS [user],
  @secret AS [password],
{%- endif %}
{%- for field in call.fields %}
  @{{ field.name }} AS [{{ field.name }}],
{%- endfor %}
{%- if call.send %}
  -- Use one key per message: a retry with the same key never sends the message twice.
  CONVERT(nvarchar(36), NEWID()) AS [idempotency_key],
{%- endif %}
  N'{{ call.method }}' AS [method]
  FOR JSON PATH, WITHOUT_ARRAY_WRAPPER);
{%- if call.basic %}
DECLARE @login varbinary(max) = CAST(CAST(
  (@user + N':' + @secret) COLLATE Latin1_General_100_CI_AS_SC_UTF8 AS varchar(max)) AS varbinary(max));
DECLARE @authorization nvarchar(max) = N'Basic ' + CAST(N'' AS xml).value('xs:base64Binary(sql:variable("@login"))', 'nvarchar(max)');
{%- endif %}

DECLARE @http int, @failed int, @answer nvarchar(max);
DECLARE @text TABLE (answer nvarchar(max));
EXEC @failed = sp_OACreate 'MSXML2.ServerXMLHTTP.6.0', @http OUT;
IF @failed <> 0
BEGIN;
  THROW 50001, N'OLE Automation is not allowed on this server', 1;
END;
-- Timeouts for resolving, connecting, sending and receiving, in milliseconds.
EXEC @failed = sp_OAMethod @http, 'setTimeouts', NULL, 5000, 5000, 30000, 30000;
-- Option 2, value 0: ignore no certificate errors.
IF @failed = 0 EXEC @failed = sp_OAMethod @http, 'setOption', NULL, 2, 0;
IF @failed = 0 EXEC @failed = sp_OAMethod @http, 'open', NULL, 'POST', @url, 'false';
IF @failed = 0 EXEC @failed = sp_OAMethod @http, 'setRequestHeader', NULL, 'Content-Type', 'application/json';
{%- if call.basic %}
IF @failed = 0 EXEC @failed = sp_OAMethod @http, 'setRequestHeader', NULL, 'Authorization', @authorization;
{%- endif %}
-- The object sends a string as UTF-8.
IF @failed = 0 EXEC @failed = sp_OAMethod @http, 'send', NULL, @body;
-- Read the response into a table, because an output parameter would be cut after 4,000 characters.
IF @failed = 0 INSERT INTO @text EXEC @failed = sp_OAGetProperty @http, 'responseText';
EXEC sp_OADestroy @http;
SET @answer = (SELECT answer FROM @text);
IF @failed <> 0 OR ISNULL(ISJSON(@answer), 0) = 0
BEGIN;
  THROW 50002, N'no answer of the chat API', 1;
END;
-- An error may have HTTP status 200, so check the status in the response.
IF ISNULL(JSON_VALUE(@answer, '$.status'), N'') <> N'SUCCESS'
BEGIN
  DECLARE @error nvarchar(2048) = ISNULL(JSON_VALUE(@answer, '$.error'), N'not an answer of the chat API');
  THROW 50003, @error, 1;
END;
SELECT @answer AS answer;
